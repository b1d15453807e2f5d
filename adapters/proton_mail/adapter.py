"""The Proton Mail adapter: the six methods, and look-up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from adapters.contract import (
    Capability,
    Check,
    Connected,
    Cursor,
    Inbound,
    Observer,
    Outbound,
    Receipt,
    SilentObserver,
)
from adapters.errors import Unreachable
from adapters.proton_mail import send as sending
from adapters.proton_mail.imap import connect
from adapters.proton_mail.listen import Listener
from adapters.proton_mail.parser import Parser, Share, shared_parser
from adapters.proton_mail.render import MAX_TEXT_RUNES
from adapters.proton_mail.settings import ProtonMailSettings
from adapters.proton_mail.verify import SetupTest


def wall_clock_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class ProtonMailAdapter:
    """One account behind one Bridge. All accounts of a process share its parser processes and nothing else."""

    capabilities = Capability.LOOK_UP

    def __init__(
        self,
        settings: ProtonMailSettings,
        observer: Observer | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._settings = settings
        self._observer = observer or SilentObserver()
        self._clock_ms = clock_ms
        self._opening = asyncio.Lock()
        self._connected: Connected | None = None
        self._listeners: set[Listener] = set()
        self._parser: Parser | None = None
        self._share: Share | None = None
        self._is_closed = False

    async def open(self) -> Connected:
        """Log in and look at the folders that are read."""
        self._is_closed = False
        return await self._opened()

    async def close(self) -> None:
        """End listening; the parser goes with its last user."""
        self._is_closed = True
        self._connected = None
        for listener in list(self._listeners):
            await listener.stop()
        parser, self._parser, self._share = self._parser, None, None
        if parser is not None:
            await parser.leave()

    async def check(self) -> list[Check]:
        """The set-up test."""
        self._is_closed = False
        return await SetupTest(self._settings).run()

    async def listen(self, cursor: Cursor) -> AsyncGenerator[Inbound, None]:
        """Yield what came after `cursor`, then live; each event is a `MailReceived`. See `cursor` for what it means."""
        self._check_open()
        listener = Listener(self._settings, self._used_share(), self._observer, cursor, self._clock_ms)
        self._listeners.add(listener)
        try:
            async with aclosing(listener.events()) as events:
                async for inbound in events:
                    yield inbound
        finally:
            self._listeners.discard(listener)
            await listener.stop()

    async def ack(self, cursor: Cursor) -> None:
        """Nothing to do: the mailbox keeps all mail, unread mail stays unread, and where we are is the caller's to keep."""

    async def send(self, message: Outbound) -> Receipt:
        """Send a `FrozenMail` as it is; a plain message is rendered to the same bytes at each try."""
        self._check_open()
        return await sending.send(message, self._settings, self._clock_ms)

    async def look_up(self, message: Outbound) -> Receipt | None:
        """Search Sent by Message-ID for `Pace.look_up_s`."""
        self._check_open()
        return await sending.look_up(message, self._settings)

    async def _opened(self) -> Connected:
        async with self._opening:
            if self._connected is None:
                self._connected = await self._log_in()
            return self._connected

    async def _log_in(self) -> Connected:
        connection = await connect(self._settings)
        try:
            for folder in self._settings.folders:
                await connection.examine(folder)
            version = connection.greeting
        finally:
            await connection.close()
        return Connected(
            account_id=self._settings.username.strip().lower(),
            account_name=self._settings.sender,
            account_key=self._settings.account_key,
            server_version=version,
            max_text_runes=MAX_TEXT_RUNES,
            server_now_ms=self._clock_ms(),  # IMAP tells no time, and Bridge lives beside us
        )

    def _used_share(self) -> Share:
        """The same for all listening of this account."""
        if self._share is None:
            self._parser = shared_parser(self._settings.limits.parser_memory_bytes)
            self._parser.use()
            self._share = self._parser.share()
        return self._share

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unreachable("the adapter is closed", advice="Open it again.")
