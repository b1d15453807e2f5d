"""What a channel found out of a sender, as the gate takes it: a doubt has a person asked, and a proof spares nobody.

A channel puts `trust` on the signal of a message: {"verdict": pass, fail, conflicting or unverified, "from_headers": how
many senders the message names, "imitates": an address that the sender's name pretends to be}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fleetprompt.model import Signal
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

FORGED: Final = "The sender's address is probably forged."
CONFLICTING: Final = "What is known of the sender contradicts itself."
SEVERAL: Final = "The message does not name one sender."
IMITATES: Final = "The sender's name imitates another address."


def doubt_of(trust: Mapping[str, Any] | None) -> str | None:
    """What speaks against the sender, in sentences of ours alone; None where nothing is known against them."""
    if not trust:
        return None
    found = {
        FORGED: trust.get("verdict") == "fail",
        CONFLICTING: trust.get("verdict") == "conflicting",
        SEVERAL: trust.get("from_headers", 1) != 1,
        IMITATES: bool(trust.get("imitates")),
    }
    return " ".join(sentence for sentence, holds in found.items() if holds) or None


async def doubt_of_trigger(session: TenantSession, signal_id: UUID | None) -> str | None:
    """The same, of whoever wrote what started a run."""
    signal = await get(session, Signal, signal_id) if signal_id is not None else None
    return doubt_of(signal.payload.get("trust")) if signal is not None else None
