"""The contract of every wire adapter: six methods, and values that carry no vendor's payload.

    open, close, check, listen, ack, send

Editing, typing, look-up and finding one account alone are separate protocols (`Edits`, `Types`, `LooksUp`,
`ReachesOne`); a capability flag and its protocol go together, and a contract test proves it.

An adapter knows no tenant and no database. It is handed its cursor and gives back a new one; where a cursor is
kept is its caller's affair.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto
from typing import Any, NewType, Protocol, runtime_checkable

Cursor = NewType("Cursor", str)
"""Opaque position in the far side's history, printable, at most 4 KB. "" = nothing read yet."""


class Capability(Flag):
    """What an adapter offers beyond the six methods."""

    NONE = 0
    EDIT = auto()
    TYPING = auto()
    LOOK_UP = auto()
    DIRECT = auto()
    ACCOUNTS = auto()


class EventKind(StrEnum):
    """What happened on the far side."""

    MESSAGE = "message"
    EDITED = "edited"
    DELETED = "deleted"
    REMOVED = "removed"  # the account was removed from a channel: no more answers there
    ADDED = "added"  # the account was added to a channel


class AuthorKind(StrEnum):
    """Who wrote, by the far side's own record of the account; never by a name or a property of the message."""

    PERSON = "person"
    BOT = "bot"
    WEBHOOK = "webhook"
    SYSTEM = "system"
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Author:
    """The account that wrote, as the far side identifies it."""

    id: str
    kind: AuthorKind
    name: str = ""  # for display alone; proves nothing


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands, and so where its answer belongs.

    channel_kind: "public", "private", "direct" or "group". thread_id: the root's id, "" at top level.
    """

    channel_id: str
    channel_kind: str
    thread_id: str = ""
    channel_name: str = ""
    team_id: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """One fact from the far side, normalised.

    external_id: the provider's id of the message; event_key: unique for this very event (a message and its
    second edit differ), the same when the provider repeats itself. sent_at_ms: the provider's own clock, unix
    milliseconds; orders messages within a place. mentions_us: our mention, by the far side's grammar. addressed: a new
    message, not our own nor the system's, that is meant for us (a direct message, or our mention); an edit never is.
    text: normalised, as a model may read it. raw: the exact bytes, where the far side sends the event on its own.
    cursor: what to `ack` once this event is committed. caught_up: read by catch-up, not live.
    rewritten: a new message that was edited before we read it, perhaps by somebody else than its author.
    """

    kind: EventKind
    event_key: str
    external_id: str
    author: Author
    place: Place
    text: str
    sent_at_ms: int
    addressed: bool
    raw: bytes
    cursor: Cursor
    caught_up: bool = False
    rewritten: bool = False
    mentions_us: bool = False
    attachments: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press below a message. Who presses it makes the far side call `url` with `context`, JSON.

    style: "primary", "danger" or "". Far sides that know no buttons leave them out.
    """

    label: str
    url: str
    context: Mapping[str, Any]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to send: a part of an answer. Frozen before the first try and identical at each.

    key: idempotency key, unique for ever, printable ASCII, at most 100 characters; it travels with the message so that `look_up`
    can find it. place.thread_id: the root to answer under, "" for top level.
    """

    key: str
    place: Place
    text: str
    first_tried_at_ms: int = 0
    """When the first try began, by our clock (unix ms); look-up need not search before it. 0 = not tried yet."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    buttons: Sequence[Button] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The far side's acknowledgement of one `Outbound`."""

    external_id: str
    sent_at_ms: int
    found: bool = False  # it was there already: looked up, not sent again


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a set-up test: what was tried, whether it holds, and what to do when it does not."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """What `open` learned. account_key: identifies server + account, for "one account, one installation".

    server_now_ms: the far side's clock (unix ms, 0 = unknown); an install's moment is taken from it, not from ours.
    """

    account_id: str
    account_name: str
    account_key: str
    server_version: str = ""
    max_text_runes: int = 16383
    server_now_ms: int = 0


class ConnectionState(StrEnum):
    """The listener's connection, for health."""

    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Observer(Protocol):
    """Told of the connection's ups and downs; must not raise and must not block."""

    def state_changed(self, state: ConnectionState, error: BaseException | None = None) -> None: ...

    def backlog(self, waiting: int) -> None: ...


class SilentObserver:
    """An observer that keeps nothing."""

    def state_changed(self, state: ConnectionState, error: BaseException | None = None) -> None:
        """Ignore the change."""

    def backlog(self, waiting: int) -> None:
        """Ignore the number."""


class Adapter(Protocol):
    """One account on one far side. Built with its settings, opened once, closed once."""

    capabilities: Capability

    async def open(self) -> Connected:
        """Log in. Raises the tree of `adapters.errors`; idempotent."""
        ...

    async def close(self) -> None:
        """Give back sockets and tasks; never raises, idempotent."""
        ...

    async def check(self) -> list[Check]:
        """Test the settings line by line; never raises for a far side's refusal. Serves the set-up test and the run loop."""
        ...

    def listen(self, cursor: Cursor) -> AsyncGenerator[Inbound, None]:
        """Yield what happened after `cursor`, oldest first per place, then live, for ever.

        Reconnects by itself after a passing fault. Raises only what a person must mend (`CredentialRefused`, ...).
        An event is told once per call: whoever could not commit one calls `listen` again with the last cursor kept.
        Read it within `contextlib.aclosing`, so that its connection ends with the reading.
        """
        ...

    async def ack(self, cursor: Cursor) -> None:
        """Note that everything up to `cursor` is committed on our side. Called only after the commit."""
        ...

    async def send(self, message: Outbound) -> Receipt:
        """Send once. Raises `OutcomeUnknown` when the far side may or may not have it.

        A repeat with the same key while the far side still remembers it returns the first receipt.
        """
        ...


@runtime_checkable
class LooksUp(Protocol):
    """Can tell whether an `Outbound` arrived (Capability.LOOK_UP)."""

    async def look_up(self, message: Outbound) -> Receipt | None:
        """Find the message by its key. None = certainly absent. Raises `OutcomeUnknown` when it cannot tell."""
        ...


@runtime_checkable
class Edits(Protocol):
    """Can change a message that it sent (Capability.EDIT)."""

    async def edit(self, external_id: str, text: str) -> Receipt: ...


@runtime_checkable
class ReachesOne(Protocol):
    """Can say something to one account alone (Capability.DIRECT)."""

    async def direct(self, account_id: str) -> Place:
        """The place that only this account and ours read; made if there is none, the same each time."""
        ...


@dataclass(frozen=True, slots=True)
class AccountNow:
    """An account as the far side has it at this moment. is_active: False once it was deactivated or removed there."""

    name: str
    is_active: bool


@runtime_checkable
class KnowsAccounts(Protocol):
    """Can tell what became of an account (Capability.ACCOUNTS)."""

    async def account(self, account_id: str) -> AccountNow: ...


@runtime_checkable
class Types(Protocol):
    """Can show that an answer is being written (Capability.TYPING)."""

    async def typing(self, place: Place) -> None:
        """Best effort; never raises for a refusal."""
        ...
