"""What a chat connector adds to a wire: its settings, its words, and how an adapter is built for one installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel

from adapters.contract import Adapter, Inbound, Observer
from fleetprompt.kernel.secret import Secret

if TYPE_CHECKING:
    from fleetprompt.connectors.ingest import Batch, Source
    from fleetprompt.runtime.registry import Registry
    from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that an adapter is built from. start_at_ms: the install's moment by the far side's clock (unix ms)."""

    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    start_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """One connector that listens. The same `build` serves the set-up test, the listener and deliveries.

    parts: (text, most runes) -> what is posted, one post each. request: (our account name, text) -> the text without
    the mention that leads it. directive: the intent that posts an answer. optional_secrets: it works without them.
    batch: (session, registry, installation) -> what stores events, where they are no chat. prepare: see `Source`. start_at_ms: (settings) ->
    from when on, if they say so (unix ms). update, private: the intents that edit what was posted, and that tell one
    account alone. pressed_at: the path that a button calls, with `{installation}`; "" = no buttons; called_at: those that
    a person has to give to the far side. server_key: (settings) -> whose accounts these are, one spelling for one server.
    sent_to: the settings that say to whom the secrets are sent.
    """

    package: str
    config: type[BaseModel]
    secrets: tuple[str, ...]
    build: Callable[[Account, Observer | None], Adapter]
    parts: Callable[[str, int], list[str]]
    request: Callable[[str, str], str]
    directive: str
    optional_secrets: tuple[str, ...] = ()
    batch: Callable[[TenantSession, Registry, UUID], Batch] | None = None
    prepare: Callable[[Source, Inbound], Inbound] | None = None
    start_at_ms: Callable[[Mapping[str, Any]], int | None] | None = None
    update: str = ""
    private: str = ""
    pressed_at: str = ""
    called_at: tuple[str, ...] = ()
    server_key: Callable[[Mapping[str, Any]], str] | None = None
    sent_to: tuple[str, ...] = ()
