"""The run loop: connect, catch up, go live; after any fault once more, until a person has to mend something."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from adapters.contract import ConnectionState, Cursor, Inbound, Observer
from adapters.errors import AdapterError, CredentialRefused, Passing, TimedOut
from adapters.mattermost.accounts import Directory
from adapters.mattermost.catchup import CatchUp
from adapters.mattermost.client import Api
from adapters.mattermost.cursor import Position
from adapters.mattermost.normalise import Normaliser, live_happening
from adapters.mattermost.parse import Frame, MalformedFrame
from adapters.mattermost.session import Session
from adapters.mattermost.settings import MattermostSettings
from adapters.mattermost.socket import Resume, Socket

log = logging.getLogger(__name__)
REMEMBERED_KEYS = 20_000
HELLO = "hello"


class Listener:
    """One reading of one account's events. Not to be used twice."""

    def __init__(
        self, api: Api, settings: MattermostSettings, session: Session, observer: Observer, cursor: Cursor
    ) -> None:
        self._api = api
        self._settings = settings
        self._session = session
        self._observer = observer
        now_ms = api.client.server_now_ms
        start_at_ms = settings.start_at_ms or (0 if cursor else now_ms())
        self._position = Position.parse(cursor, start_at_ms, now_ms)
        directory = Directory(api, session.user_id)
        self._normaliser = Normaliser(directory, session.user_id, session.username, now_ms)
        self._catch_up = CatchUp(api, directory, settings, start_at_ms, observer)
        self._told: OrderedDict[str, None] = OrderedDict()
        self._resume: Resume | None = None
        self._socket: Socket | None = None
        self._stopping = asyncio.Event()
        self._failures = 0

    async def stop(self) -> None:
        """End the iteration soon; idempotent."""
        self._stopping.set()
        if self._socket is not None:
            await self._socket.end()

    async def events(self) -> AsyncGenerator[Inbound, None]:
        """Yield for ever. Raises only what a person must mend."""
        while not self._stopping.is_set():
            fault: AdapterError | None = None
            self._observer.state_changed(ConnectionState.CONNECTING)
            try:
                async with aclosing(self._one_connection()) as events:
                    async for inbound in events:
                        yield inbound
                fault = self._socket.error if self._socket else None
            except AdapterError as error:
                fault = error
            self._observer.state_changed(ConnectionState.DISCONNECTED, fault)
            await self._after(fault)

    async def _one_connection(self) -> AsyncGenerator[Inbound, None]:
        """One websocket connection from its beginning to its end."""
        resume, self._resume = (
            self._resume,
            None,
        )  # after a fault half-way frames are missing: then start afresh
        async with Socket(self._settings, self._api.client.address, resume) as socket:
            self._socket = socket
            if self._stopping.is_set():  # told to stop while it connected
                return
            if resume is not None:
                self._observer.state_changed(ConnectionState.CONNECTED)
            frame = await (socket.next_frame() if resume else self._hello(socket))
            while frame is not None:
                async with aclosing(self._told_by(frame, socket.connection_id)) as events:
                    async for inbound in events:
                        yield inbound
                frame = await socket.next_frame()
            self._resume = socket.resume

    async def _hello(self, socket: Socket) -> Frame:
        """The first frame of a fresh connection."""
        try:
            async with asyncio.timeout(self._settings.pace.hello_timeout_s):
                frame = await socket.next_frame()
        except TimeoutError as error:
            raise TimedOut("the server accepted the websocket and did not greet") from error
        if frame is None or frame.event != HELLO:
            # The server hangs up on a bad token without a word; the REST call in `_after` will tell.
            raise socket.error or TimedOut("the server ended the websocket before it greeted")
        return frame

    async def _told_by(self, frame: Frame, connection_id: str) -> AsyncGenerator[Inbound, None]:
        """What a frame brings: one event, none, or, when it is a `hello`, all that was missed."""
        if frame.event == HELLO:
            async with aclosing(self._missed()) as events:
                async for inbound in events:
                    yield inbound
            return
        self._failures = 0
        live = await self._live(frame, connection_id)
        # The server sends what happens in all of the account's teams; catch-up asks for ours alone.
        if live is not None and self._session.listens_in(live.place.team_id):
            yield replace(live, cursor=self._position.dump())

    async def _missed(self) -> AsyncGenerator[Inbound, None]:
        self._observer.state_changed(ConnectionState.CATCHING_UP)
        async with aclosing(self._catch_up.happenings(self._position)) as happenings:
            async for happening, channel in happenings:
                if happening.key in self._told:
                    continue
                # First the look-ups, which may fail, then the steps that count the event as told.
                inbound = await self._normaliser.caught_up(happening, channel)
                self._position.reached(channel.id, happening.happened_at_ms)
                self._remember(happening.key)
                yield replace(inbound, cursor=self._position.dump())
        self._failures = 0
        self._observer.state_changed(ConnectionState.CONNECTED)

    async def _live(self, frame: Frame, connection_id: str) -> Inbound | None:
        try:
            happening = live_happening(frame)
            if happening is None:
                log.debug("mattermost: %s frame ignored", frame.event[:40])
                return await self._normaliser.membership(frame, connection_id)
            if happening.key in self._told:
                return None
            inbound = await self._normaliser.live(happening, frame)
        except MalformedFrame as error:
            log.warning(
                "mattermost: %s frame skipped: %s (%d bytes)", frame.event[:40], error, len(frame.raw)
            )
            return None
        self._remember(happening.key)
        self._position.went_live(happening.happened_at_ms)
        return inbound

    def _remember(self, key: str) -> None:
        """What is told twice does no harm, it is only a waste; so this memory is bounded."""
        self._told[key] = None
        if len(self._told) > REMEMBERED_KEYS:
            self._told.popitem(last=False)

    async def _after(self, fault: AdapterError | None) -> None:
        """Raise what a person must mend, otherwise wait before the next try."""
        if self._stopping.is_set():
            return
        if isinstance(fault, CredentialRefused):
            raise fault
        if self._failures:
            await self._check_token()
        wait_s = self._wait_s(fault)
        self._failures += 1
        try:
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _check_token(self) -> None:
        try:
            await self._api.users.get_user("me")
        except CredentialRefused:
            raise
        except AdapterError as error:
            log.info("mattermost: still away: %s", error)

    def _wait_s(self, fault: AdapterError | None) -> float:
        pace = self._settings.pace
        ceiling_s: float = min(pace.backoff_most_s, pace.backoff_first_s * 2 ** min(self._failures, 16))
        asked_s: float = fault.retry_after_s or 0.0 if isinstance(fault, Passing) else 0.0
        return max(ceiling_s * random.uniform(0.5, 1.0), asked_s)
