"""`PgBroker`: Postgres as a taskiq transport.

What travels is (job id, attempt). Here the claim has been made when the message is yielded, so the row itself waits
in memory; behind another broker (`carried.CarriedBroker`) a message is claimed when it arrives, and one that was lost
or doubled on the way does not matter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from uuid import UUID

from taskiq import AckableMessage, AsyncBroker, BrokerMessage
from taskiq.message import TaskiqMessage

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.runtime.jobs.sleeper import Sleeper, nap, pause
from fleetprompt.tenancy import Fence

TASK = "fleetprompt.job"


class PgBroker(AsyncBroker):
    """Claims jobs in batches, woken by NOTIFY and by a poll; holds them until they are acknowledged."""

    def __init__(
        self,
        database: Database,
        worker: str,
        kinds: Callable[[], Sequence[str]],
        *,
        slots: int,
        lease_s: float,
        poll_every_s: float,
    ) -> None:
        super().__init__()
        self.database = database
        self.worker = worker
        self.kinds = kinds
        self.slots = slots
        self.lease_s = lease_s
        self.poll_every_s = poll_every_s
        self.held: dict[Fence, Claimed] = {}
        self.wake = asyncio.Event()
        self._may_be_more = True  # than the last claim took
        self.sleeper = Sleeper(database, worker)
        self.sleeper.bells.append(self.wake)

    async def startup(self) -> None:
        """Start to hear notifications."""
        await super().startup()
        await self.sleeper.start()

    async def shutdown(self) -> None:
        """Stop hearing; what is held is released by the worker."""
        await self.sleeper.stop()
        await super().shutdown()

    async def kick(self, message: BrokerMessage) -> None:
        """Nothing to carry: a job is in Postgres before anyone could kick it. Wakes our own sleeper."""
        self.wake.set()

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield claimed jobs one by one; claims no more than there are free slots, and sleeps when there are none."""
        while True:
            self.wake.clear()
            self._may_be_more = True
            jobs = await self._claim()
            for job in jobs:
                yield self._message(job)
            if self.free_slots <= 0:
                await self._wait_for_slot()
            elif not jobs or not self._may_be_more:
                await self._rest()

    @property
    def free_slots(self) -> int:
        """How many more jobs may be held."""
        return self.slots - len(self.held)

    def take(self, job_id: UUID, attempt: int) -> Claimed | None:
        """The claimed row behind a message; None if it was handed back meanwhile."""
        return self.held.get(Fence(job_id, attempt, self.worker))

    def drop(self, fence: Fence) -> None:
        """This try of the job is over, or no longer ours: free its slot. Another try may be ours already."""
        self.held.pop(fence, None)
        self.wake.set()

    async def _claim(self) -> list[Claimed]:
        limit = self._limit()
        if limit <= 0:
            return []
        try:
            jobs = await claim.claim(
                self.database, self.worker, self.kinds(), limit, self.lease_s, self._sated()
            )
        except Exception as error:  # noqa: BLE001 - the worker's edge: recorded, then tried again
            await pause(error)
            return []
        self._hold(jobs)
        self._may_be_more = len(jobs) == limit
        if jobs:
            self.sleeper.get_up()
        return jobs

    async def _wait_for_slot(self) -> None:
        await self.wake.wait()  # an ack frees a slot and wakes us

    async def _rest(self) -> None:
        if await self.sleeper.lie_down():
            await nap(self.wake, self.poll_every_s)

    def _hold(self, jobs: Sequence[Claimed]) -> None:
        self.held.update({job.fence(self.worker): job for job in jobs})

    def _limit(self) -> int:
        """A quarter of the slots at a time, so that a tenant cannot pass its share by much; more while few are taken."""
        return min(self.free_slots, max(1, self.slots // 4, self.free_slots // 2))

    def _sated(self) -> list[TenantSlug]:
        """Tenants with three quarters of the slots: when all of theirs hangs, others still get through."""
        held = Counter(job.tenant for job in self.held.values())
        share = max(1, self.slots * 3 // 4)
        return [tenant for tenant, count in held.items() if count >= share]

    def _message(self, job: Claimed) -> AckableMessage:
        fence = job.fence(self.worker)
        carried = self.formatter.dumps(message_of(job.id, job.attempt))
        return AckableMessage(data=carried.message, ack=lambda: self.drop(fence))


def message_of(job_id: UUID, attempt: int) -> TaskiqMessage:
    """What travels."""
    return TaskiqMessage(
        task_id=str(job_id),
        task_name=TASK,
        labels={},
        args=[],
        kwargs={"job_id": str(job_id), "attempt": attempt},
    )
