"""What a chat connector adds to a wire: its settings, its words, and how an adapter is built for one installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from adapters.contract import Adapter, Observer
from fleetprompt.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that an adapter is built from. start_at_ms: the install's moment by the far side's clock (unix ms)."""

    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    start_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """One chat connector. The same `build` serves the set-up test, the listener and deliveries.

    parts: (text, most runes) -> what is posted, one post each. request: (our account name, text) -> the text without
    the mention that leads it. directive: the intent that posts an answer.
    """

    package: str
    config: type[BaseModel]
    secrets: tuple[str, ...]
    build: Callable[[Account, Observer | None], Adapter]
    parts: Callable[[str, int], list[str]]
    request: Callable[[str, str], str]
    directive: str
