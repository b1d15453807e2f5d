"""The run loop: connect, read each folder from where it was left, wait for news; after any fault on a fresh connection."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from adapters.contract import ConnectionState, Cursor, Inbound, Observer
from adapters.errors import AdapterError, Passing
from adapters.proton_mail.cursor import Position
from adapters.proton_mail.fetch import NOT_GIVEN
from adapters.proton_mail.folder import FolderReader
from adapters.proton_mail.imap import ImapConnection, connect
from adapters.proton_mail.normalise import MailReceived, live
from adapters.proton_mail.parser import Share
from adapters.proton_mail.settings import ProtonMailSettings

log = logging.getLogger(__name__)
REMEMBERED_KEYS = 20_000


class Listener:
    """One reading of one account. Not to be used twice."""

    def __init__(
        self,
        settings: ProtonMailSettings,
        parser: Share,
        observer: Observer,
        cursor: Cursor,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._pace = settings.pace
        self._observer = observer
        self._position = Position.parse(cursor, settings.start_at_ms, settings.folders, now_ms)
        self._reader = FolderReader(settings, parser, self._position, observer)
        # The folder where IDLE waits is read last, so that nothing comes between reading and waiting.
        self._folders = tuple(reversed(settings.folders))
        self._told: OrderedDict[str, None] = OrderedDict()
        self._connection: ImapConnection | None = None
        self._stopping = asyncio.Event()
        self._failures = 0

    async def stop(self) -> None:
        """End the iteration soon; idempotent."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.drop()

    async def events(self) -> AsyncGenerator[Inbound, None]:
        """Yield for ever. Raises only what a person must mend."""
        while not self._stopping.is_set():
            self._observer.state_changed(ConnectionState.CONNECTING)
            fault: AdapterError | None = None
            try:
                async with aclosing(self._one_connection()) as events:
                    async for inbound in events:
                        yield inbound
            except AdapterError as error:
                fault = error
            self._observer.state_changed(ConnectionState.DISCONNECTED, fault)
            await self._after(fault)

    async def _one_connection(self) -> AsyncGenerator[Inbound, None]:
        self._connection = connection = await connect(self._settings)
        try:
            if not self._stopping.is_set():
                async with aclosing(self._read_for_ever(connection)) as events:
                    async for inbound in events:
                        yield inbound
        finally:
            self._connection = None
            await connection.close()

    async def _read_for_ever(self, connection: ImapConnection) -> AsyncGenerator[Inbound, None]:
        self._observer.state_changed(ConnectionState.CATCHING_UP)
        is_live = False
        while not self._stopping.is_set():
            for folder in self._folders:
                async with aclosing(self._reader.news(connection, folder)) as mails:
                    async for mail in mails:
                        if mail.quarantine != NOT_GIVEN:
                            self._failures = 0  # the server gives
                        if self._is_news(mail):
                            yield live(mail, self._position.dump(), caught_up=not is_live)
            if not is_live:
                self._observer.state_changed(ConnectionState.CONNECTED)
                is_live = True
            self._failures = 0
            await self._wait(connection)

    async def _wait(self, connection: ImapConnection) -> None:
        """By IDLE where it is offered, else for a while; other folders are looked at in between all the same."""
        seconds = min(self._pace.idle_s, self._pace.poll_s) if len(self._folders) > 1 else self._pace.idle_s
        if self._settings.idle and connection.offers_idle:
            await connection.idle(seconds)
            return
        await self._pause(self._pace.poll_s)

    def _is_news(self, mail: MailReceived) -> bool:
        """The same mail in two folders is told once; beyond this memory the caller knows it by its key."""
        if mail.event_key in self._told:
            return False
        self._told[mail.event_key] = None
        if len(self._told) > REMEMBERED_KEYS:
            self._told.popitem(last=False)
        return True

    async def _after(self, fault: AdapterError | None) -> None:
        """Raise what a person must mend, otherwise wait before the next try."""
        if self._stopping.is_set():
            return
        if fault is not None and not isinstance(fault, Passing):
            raise fault
        pace = self._pace
        ceiling_s = min(pace.backoff_most_s, pace.backoff_first_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        await self._pause(ceiling_s * random.uniform(0.5, 1.0))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
