"""Working ahead of the caller: the next one is got while the caller is busy with this one, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: AsyncGenerator[T, None], count: int = 1) -> AsyncGenerator[T, None]:
    """The same, in order; so many are got while the caller is busy. What fails, fails in its turn."""
    if count > 1:
        source = ahead(source, count - 1)
    coming: asyncio.Task[T] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(source))
            try:
                one = await coming
            except StopAsyncIteration:
                return
            coming = asyncio.create_task(_next(source))
            yield one
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await source.aclose()


async def _next(source: AsyncGenerator[T, None]) -> T:
    return await anext(source)


class Room:
    """For so many bytes at a time, but always for one thing."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until it fits."""
        while self._held and self._held + size > self._most:
            self._freed.clear()
            await self._freed.wait()
        self._held += size

    def give_back(self, size: int) -> None:
        """As many as were taken."""
        self._held -= size
        self._freed.set()


class Started:
    """Tasks that nobody may wait for any more; none of them outlives the block."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Started:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        """The same task."""
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; if nobody does, nothing is left to be said
