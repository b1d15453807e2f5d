"""Ends of jobs that have written all they had to write: those that come while one commit is under way share the next."""

from __future__ import annotations

import asyncio

from fleetprompt.database.engine import Database
from fleetprompt.runtime.jobs import claim
from fleetprompt.tenancy import Fence

AT_ONCE = 100

_Waiting = tuple[Fence, "asyncio.Future[bool]"]


class Ends:
    """Of one process. Nobody waits for company: the first goes at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def end(self, fence: Fence) -> bool:
        """Whether the claim still held. Raises what kept the database from saying so."""
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((fence, ended))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="fleetprompt-ends")
        return await ended

    async def settle(self) -> None:
        """Wait for those under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                ended = await claim.end(self.database, [fence for fence, _ in batch])
            except Exception as error:  # noqa: BLE001 - told to each who waits
                _tell(batch, error)
            else:
                _tell(batch, ended)


def _tell(batch: list[_Waiting], outcome: set[Fence] | Exception) -> None:
    for fence, waiting in batch:
        if waiting.done():  # its job was cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(fence in outcome)
