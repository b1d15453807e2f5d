"""The Mattermost adapter: the six methods, and editing, typing, look-up and direct messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from adapters.contract import (
    AccountNow,
    Capability,
    Check,
    Connected,
    ConnectionState,
    Cursor,
    Inbound,
    Observer,
    Outbound,
    Place,
    Receipt,
    SilentObserver,
)
from adapters.errors import AdapterError, Passing, Unreachable
from adapters.mattermost.accounts import account_now
from adapters.mattermost.client import Api, WireClient
from adapters.mattermost.listen import Listener
from adapters.mattermost.places import placed
from adapters.mattermost.send import create_post, find_post, open_direct, patch_post, show_typing
from adapters.mattermost.session import Session, open_session
from adapters.mattermost.settings import MattermostSettings
from adapters.mattermost.verify import SetupTest


def wall_clock_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class MattermostAdapter:
    """One bot account on one server; adapters in one process share nothing."""

    capabilities = (
        Capability.EDIT | Capability.TYPING | Capability.LOOK_UP | Capability.DIRECT | Capability.ACCOUNTS
    )

    def __init__(
        self,
        settings: MattermostSettings,
        observer: Observer | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._settings = settings
        self._observer = observer or SilentObserver()
        self._clock_ms = clock_ms
        self._opening = asyncio.Lock()
        self._api: Api | None = None
        self._session: Session | None = None
        self._listeners: set[Listener] = set()
        self._is_closed = False

    async def open(self) -> Connected:
        """Log in: find the account, its teams and the server's limits."""
        self._is_closed = False
        session = await self._opened()
        return session.connected(self._client())

    async def close(self) -> None:
        """End listening and give the connections back."""
        self._is_closed = True
        for listener in list(self._listeners):
            await listener.stop()
        api, self._api, self._session = self._api, None, None
        if api is not None:
            await api.client.close()

    async def check(self) -> list[Check]:
        """The set-up test; the adapter is open afterwards."""
        self._is_closed = False
        try:
            api = self._client()
        except AdapterError as error:
            return [Check("address", False, error.detail, error.advice)]
        return await SetupTest(api, self._settings).run()

    async def listen(self, cursor: Cursor) -> AsyncGenerator[Inbound, None]:
        """Yield what happened after `cursor`, then live. See `adapters.mattermost.cursor` for what a cursor means.

        An event is told once per call; who could not keep one must call `listen` again with the last cursor kept.
        """
        session = await self._opened_in_the_end()
        listener = Listener(self._client(), self._settings, session, self._observer, cursor)
        self._listeners.add(listener)
        try:
            async with aclosing(listener.events()) as events:
                async for inbound in events:
                    yield inbound
        finally:
            self._listeners.discard(listener)
            await listener.stop()

    async def ack(self, cursor: Cursor) -> None:
        """Nothing to do: the server keeps all posts, and where we are is the caller's to keep."""

    async def send(self, message: Outbound) -> Receipt:
        """Post once, never repeating by itself. Its channel may be named instead."""
        session = await self._opened()
        message = await placed(self._client(), self._settings, message)
        return await create_post(self._client(), message, session.user_id, session.max_text_runes)

    async def look_up(self, message: Outbound) -> Receipt | None:
        """Find the post by our own `user_id` and its key in `props`."""
        session = await self._opened()
        message = await placed(self._client(), self._settings, message)
        return await find_post(self._client(), message, session.user_id)

    async def edit(self, external_id: str, text: str) -> Receipt:
        """Replace a post's text."""
        session = await self._opened()
        return await patch_post(self._client(), external_id, text, session.max_text_runes)

    async def direct(self, account_id: str) -> Place:
        """The direct message channel with this account."""
        session = await self._opened()
        return await open_direct(self._client(), session.user_id, account_id)

    async def account(self, account_id: str) -> AccountNow:
        """What became of an account, by the server's own record."""
        await self._opened()
        return await account_now(self._client(), account_id)

    async def typing(self, place: Place) -> None:
        """Best effort."""
        if self._session is not None:
            await show_typing(self._client(), self._session.user_id, place.channel_id, place.thread_id)

    async def _opened(self) -> Session:
        async with self._opening:
            if self._session is None:
                self._session = await open_session(self._client(), self._settings)
            return self._session

    async def _opened_in_the_end(self) -> Session:
        """Open, waiting through passing faults."""
        pace = self._settings.pace
        wait_s = pace.backoff_first_s
        while True:
            try:
                return await self._opened()
            except Passing as fault:
                if self._is_closed:
                    raise
                self._observer.state_changed(ConnectionState.DISCONNECTED, fault)
                await asyncio.sleep(max(wait_s, fault.retry_after_s or 0))
                wait_s = min(pace.backoff_most_s, wait_s * 2)

    def _client(self) -> Api:
        if self._is_closed:
            raise Unreachable("the adapter is closed", advice="Open it again.")
        if self._api is None:
            self._api = Api(WireClient(self._settings, self._clock_ms))
        return self._api
