"""Group commit: callers that come while a commit is under way share the next one.

Each caller returns only after the commit that holds its work, so nothing is acknowledged that could be lost. What
fails together is tried one by one, so that one caller's fault stays its own. A caller that is canceled harms nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Asked(Generic[Work, Result]):
    """One caller's work and where it waits. size: how much of a commit it takes."""

    work: Work
    size: int
    answer: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit(Generic[Work, Result]):
    """Collects what is asked for while `commit` runs; one commit at a time, of at most `most` (sizes added up).

    commit: the works in the order in which they came -> their results; all or nothing. is_everybodys: whether a fault
    would meet each of them alone too.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Work]], Awaitable[Sequence[Result]]],
        is_everybodys: Callable[[Exception], bool],
        most: int,
    ) -> None:
        self._commit = commit
        self._is_everybodys = is_everybodys
        self._most = most
        self._waiting: deque[_Asked[Work, Result]] = deque()
        self._under_way: list[_Asked[Work, Result]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Nobody waits for anything."""
        return self._task is None or self._task.done()

    async def join(self, work: Work, size: int) -> Result:
        """The result, once it is committed. Raises what the commit raised for this work."""
        asked: _Asked[Work, Result] = _Asked(work, size)
        self._waiting.append(asked)
        if self._task is None or self._task.done():
            self._begin()
        try:
            return await asked.answer
        except asyncio.CancelledError:
            await self._stop_if_nobody_waits()
            raise

    async def _stop_if_nobody_waits(self) -> None:
        """The last of them was canceled: end the transaction now, before its engine is closed."""
        asked = (*self._under_way, *self._waiting)
        if self._task is not None and all(one.answer.cancelled() for one in asked):
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._serve(), name="group commit")

    async def _serve(self) -> None:
        try:
            while self._waiting:
                self._under_way = self._next_group()
                await self._settle(self._under_way)
                self._under_way = []
        finally:
            if any(not asked.answer.done() for asked in self._waiting):
                self._begin()  # they came while an abandoned commit was being ended

    def _next_group(self) -> list[_Asked[Work, Result]]:
        """In order of coming; one that is larger than a group is a group of its own."""
        group: list[_Asked[Work, Result]] = []
        size = 0
        while self._waiting and (not group or size + self._waiting[0].size <= self._most):
            asked = self._waiting.popleft()
            if not asked.answer.cancelled():
                group.append(asked)
                size += asked.size
        return group

    async def _settle(self, group: Sequence[_Asked[Work, Result]]) -> None:
        if not group:
            return
        try:
            results = await self._commit([asked.work for asked in group])
        except asyncio.CancelledError:
            for asked in group:
                asked.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - carried to the callers, which raise it
            await self._settle_alone(group, error)
            return
        for asked, result in zip(group, results, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(result)

    async def _settle_alone(self, group: Sequence[_Asked[Work, Result]], error: Exception) -> None:
        if len(group) > 1 and not self._is_everybodys(error):
            for asked in group:
                await self._settle([asked])
            return
        for asked in group:
            if not asked.answer.done():
                asked.answer.set_exception(error)
