"""What happens to people, handed to whoever makes it a signal: accounts lie below the runtime, which has signals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class Fact:
    """name: as catalogued by `runtime.people`. payload: ids alone, never an address, a name or a secret."""

    name: str
    payload: Mapping[str, Any]


TellFact = Callable[[TenantSession, Fact], Awaitable[None]]
"""Makes the fact a signal, in its own transaction; `runtime.people.fact_teller` says who did it."""
