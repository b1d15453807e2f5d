"""Reading an adapter's events in tests: in the background, with a deadline, and acked as a careful caller would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

from adapters.contract import Adapter, ConnectionState, Cursor, Inbound

PATIENCE_S = 15.0


class Ear:
    """What came so far. cursor: of the last event, as if each had been committed."""

    def __init__(self, cursor: Cursor) -> None:
        self.heard: list[Inbound] = []
        self.cursor = cursor
        self.error: BaseException | None = None
        self.is_over = False
        self._news = asyncio.Condition()

    @property
    def texts(self) -> list[str]:
        """What people wrote: messages without the account's own and the system's."""
        kinds = ("person", "bot", "webhook")
        return [event.text for event in self.heard if event.kind == "message" and event.author.kind in kinds]

    @property
    def keys(self) -> list[str]:
        return [event.event_key for event in self.heard]

    async def read(self, adapter: Adapter, pause_s: float = 0) -> None:
        try:
            async with aclosing(adapter.listen(self.cursor)) as events:
                async for event in events:
                    self.heard.append(event)
                    await adapter.ack(event.cursor)
                    self.cursor = event.cursor
                    await self._tell()
                    await asyncio.sleep(pause_s)
        except Exception as error:
            self.error = error
        self.is_over = True
        await self._tell()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; fails with what came instead."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            raise AssertionError(f"did not come to hold; heard {self.texts}, error {self.error!r}") from None

    async def hears(self, *texts: str) -> None:
        """Wait for these messages, in any order among others."""
        await self.until(lambda: set(texts) <= set(self.texts))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def listening(adapter: Adapter, cursor: str = "", pause_s: float = 0) -> AsyncIterator[Ear]:
    """Listen in the background while the block runs."""
    ear = Ear(Cursor(cursor))
    task = asyncio.create_task(ear.read(adapter, pause_s))
    try:
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class States:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.states: list[ConnectionState] = []
        self.errors: list[BaseException] = []
        self.backlogs: list[int] = []
        self._news = asyncio.Event()

    def state_changed(self, state: ConnectionState, error: BaseException | None = None) -> None:
        self.states.append(state)
        if error is not None:
            self.errors.append(error)
        self._news.set()

    def backlog(self, waiting: int) -> None:
        self.backlogs.append(waiting)

    async def reach(self, state: ConnectionState, times: int = 1) -> None:
        """Wait until this state was entered so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while self.states.count(state) < times:
                self._news.clear()
                await self._news.wait()
