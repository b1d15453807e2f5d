"""The reference adapter: a chat server in a dictionary, and everyone's test double.

`MemoryServer` is the far side and outlives its adapters, as a real one does; `MemoryAdapter` is one account on it. What
the contract promises is kept here in the plainest way; the same suite runs over this and over the real wires.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace

from adapters.contract import (
    Author,
    AuthorKind,
    Capability,
    Check,
    Connected,
    ConnectionState,
    Cursor,
    EventKind,
    Inbound,
    Observer,
    Outbound,
    Place,
    Receipt,
    SilentObserver,
)
from adapters.errors import AdapterError, CredentialRefused, PlaceGone, Refused, TooLong

TICK_MS = 10


@dataclass(slots=True)
class Fault:
    """What the next send meets. committed: the server keeps the message although the sender gets the error."""

    error: AdapterError
    committed: bool = False


@dataclass(slots=True)
class MemoryServer:
    """The far side: all that happened, in order, with a clock that ticks at each event."""

    account: Author = field(default_factory=lambda: Author("bot", AuthorKind.SELF, "fleet"))
    max_text_runes: int = 16383
    credential: str = "good"
    events: list[Inbound] = field(default_factory=list)
    sent: list[Outbound] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    typed: list[Place] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    closed_channels: set[str] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _now_ms: int = 1_700_000_000_000
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def now_ms(self) -> int:
        """This server's clock."""
        return self._now_ms

    def says(self, text: str, place: Place, author: Author | None = None) -> Inbound:
        """Somebody writes."""
        writer = author or Author("dana", AuthorKind.PERSON, "dana")
        return self._happens(EventKind.MESSAGE, f"p{next(self._numbers)}", text, place, writer)

    def edits(self, message: Inbound, text: str) -> Inbound:
        """The author changes a message."""
        self.texts[message.external_id] = text
        return self._happens(EventKind.EDITED, message.external_id, text, message.place, message.author)

    def deletes(self, message: Inbound) -> Inbound:
        """The author takes a message back."""
        self.texts.pop(message.external_id, None)
        return self._happens(EventKind.DELETED, message.external_id, "", message.place, message.author)

    def keep(self, message: Outbound) -> Receipt:
        """Store a post of the account, once per key."""
        number = next((n for n, kept in enumerate(self.sent) if kept.key == message.key), None)
        if number is None:
            self.sent.append(message)
            number = len(self.sent) - 1
            self.texts[f"s{number}"] = message.text
            echo = self._happens(EventKind.MESSAGE, f"s{number}", message.text, message.place, self.account)
            return Receipt(f"s{number}", echo.sent_at_ms)
        return Receipt(f"s{number}", self._now_ms)

    def find(self, key: str) -> Receipt | None:
        """The stored post with this key."""
        for number, message in enumerate(self.sent):
            if message.key == key:
                return Receipt(f"s{number}", self._now_ms, found=True)
        return None

    async def has_beyond(self, count: int, is_over: Callable[[], bool]) -> bool:
        """Wait until there are more events than `count`; False when it is over first."""
        while not is_over():
            if len(self.events) > count:
                return True
            self._news.clear()
            await self._news.wait()
        return False

    def wake(self) -> None:
        """Let waiting readers look again."""
        self._news.set()

    def _happens(self, kind: EventKind, external_id: str, text: str, place: Place, author: Author) -> Inbound:
        self._now_ms += TICK_MS
        mentions_us = f"@{self.account.name}" in text.split()
        is_for_us = mentions_us or place.channel_kind == "direct"
        event = Inbound(
            kind=kind,
            event_key=f"{kind.value}:{external_id}"
            + (f":{self._now_ms}" if kind is EventKind.EDITED else ""),
            external_id=external_id,
            author=author,
            place=place,
            text=text,
            sent_at_ms=self._now_ms,
            addressed=kind is EventKind.MESSAGE and is_for_us and author.kind is not AuthorKind.SELF,
            raw=text.encode("utf-8", "replace"),
            cursor=Cursor(str(len(self.events) + 1)),
            mentions_us=mentions_us,
        )
        self.events.append(event)
        self.wake()
        return event


class MemoryAdapter:
    """One account on a `MemoryServer`. start: how many of its events are history."""

    capabilities = Capability.EDIT | Capability.TYPING | Capability.LOOK_UP | Capability.DIRECT

    def __init__(
        self,
        server: MemoryServer,
        observer: Observer | None = None,
        *,
        credential: str = "good",
        start: int = 0,
    ) -> None:
        self._server = server
        self._observer = observer or SilentObserver()
        self._credential = credential
        self._start = start
        self._closed = False
        self.acked = Cursor("")

    async def open(self) -> Connected:
        """Check the token."""
        if self._credential != self._server.credential:
            raise CredentialRefused("the token is refused", advice="Use the server's token.")
        self._closed = False
        account = self._server.account
        return Connected(
            account_id=account.id,
            account_name=account.name,
            account_key=f"memory:{id(self._server)}:{account.id}",
            max_text_runes=self._server.max_text_runes,
            server_now_ms=self._server.now_ms(),
        )

    async def close(self) -> None:
        """End listening."""
        self._closed = True
        self._server.wake()

    async def check(self) -> list[Check]:
        """Is the token good?"""
        try:
            await self.open()
        except AdapterError as error:
            return [Check("token", False, error.detail, error.advice)]
        return [Check("token", True, "the token is good")]

    async def listen(self, cursor: Cursor) -> AsyncGenerator[Inbound, None]:
        """Yield the events after `cursor`, then wait for more."""
        await self.open()
        told = int(cursor) if cursor else self._start
        missed_until = len(self._server.events)
        self._observer.state_changed(ConnectionState.CONNECTED)
        while await self._server.has_beyond(told, lambda: self._closed):
            yield replace(self._server.events[told], caught_up=told < missed_until)
            told += 1

    async def ack(self, cursor: Cursor) -> None:
        """Remember it, so that a test can see it."""
        self.acked = cursor

    async def send(self, message: Outbound) -> Receipt:
        """Keep the message, or meet the next fault."""
        await self.open()
        if not message.text.strip():
            raise Refused("an empty message is not sent")
        if len(message.text) > self._server.max_text_runes:
            raise TooLong(f"{len(message.text)} runes")
        if message.place.channel_id in self._server.closed_channels:
            raise PlaceGone("the channel is archived")
        if self._server.faults:
            fault = self._server.faults.pop(0)
            if fault.committed:
                self._server.keep(message)
            raise fault.error
        return self._server.keep(message)

    async def look_up(self, message: Outbound) -> Receipt | None:
        """Find it by its key."""
        return self._server.find(message.key)

    async def edit(self, external_id: str, text: str) -> Receipt:
        """Replace a sent message's text."""
        if external_id not in self._server.texts:
            raise PlaceGone("there is no such message")
        self._server.texts[external_id] = text
        return Receipt(external_id, self._server.now_ms())

    async def direct(self, account_id: str) -> Place:
        """The direct message channel with this account."""
        return Place(f"direct:{account_id}", "direct")

    async def typing(self, place: Place) -> None:
        """Remember it, so that a test can see it."""
        self._server.typed.append(place)
