"""The dispatcher, a part of every worker behind a broker: hands jobs out as long as all workers together have room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from taskiq import BrokerMessage

from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.runtime.jobs import dispatch
from fleetprompt.runtime.jobs.dispatch import Carried, Dispatched
from fleetprompt.runtime.jobs.link import Link
from fleetprompt.runtime.jobs.sleeper import Sleeper, nap, pause

faults.declare(["job.dispatched", "job.sent"])


class Dispatcher:
    """Several work side by side: each takes rows that no other has locked."""

    def __init__(
        self,
        database: Database,
        link: Link,
        sleeper: Sleeper,
        envelope: Callable[[Carried], list[BrokerMessage]],
        *,
        batch: int,
        lease_s: float,
        poll_every_s: float,
    ) -> None:
        self.database = database
        self.link = link
        self.sleeper = sleeper
        self.envelope = envelope
        self.batch = batch
        self.lease_s = lease_s
        self.poll_every_s = poll_every_s
        self.bell = asyncio.Event()
        sleeper.bells.append(self.bell)

    async def run(self) -> None:
        """Until cancelled; woken by NOTIFY, by each slot that becomes free here, and by a poll."""
        while True:
            self.bell.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - the worker's edge: recorded, then tried again
                await pause(error)

    async def _look(self) -> None:
        if not self.link.is_up:
            return await nap(self.bell, self.poll_every_s)
        found = await dispatch.dispatch(self.database, self.batch, self.lease_s)
        if found.jobs:
            self.sleeper.get_up()
            await self._send(found)
        elif found.is_full or await self.sleeper.lie_down():
            await nap(self.bell, self.poll_every_s)
        return None

    async def _send(self, found: Dispatched) -> None:
        """What the broker does not take is handed back at once. Dying here leaves it to the lease."""
        faults.reach("job.dispatched")
        if not await self.link.send(*self.envelope(found.jobs)):
            await dispatch.hand_back(self.database, None, found.jobs)
        faults.reach("job.sent")
