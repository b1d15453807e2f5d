"""`PgBroker`: Postgres as a taskiq transport.

What travels is (job id, attempt). Here the claim has been made when the message is yielded, so the row itself waits
in memory; behind another broker the worker's first act is the claim (`claim.claim_one`), and a message that was
lost or doubled on the way does not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from uuid import UUID

import structlog
from sqlalchemy import text
from taskiq import AckableMessage, AsyncBroker, BrokerMessage
from taskiq.message import TaskiqMessage

from fleetprompt.database.engine import Database, is_away
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.tenancy import Fence

log = structlog.get_logger("fleetprompt.broker")

CHANNEL = "fleetprompt_job"
TASK = "fleetprompt.job"
RECONNECT_S = 0.5

_SAY = text("update public.worker set idle = :idle where id = :worker")


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
        self.idle = False
        self._listener: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start to hear notifications."""
        await super().startup()
        self._listener = asyncio.create_task(self._hear(), name="fleetprompt-listen")

    async def shutdown(self) -> None:
        """Stop hearing; what is held is released by the worker."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await super().shutdown()

    async def kick(self, message: BrokerMessage) -> None:
        """Nothing to carry: a job is in Postgres before anyone could kick it. Wakes our own sleeper."""
        self.wake.set()

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield claimed jobs one by one; claims no more than there are free slots, and sleeps when there are none."""
        while True:
            self.wake.clear()
            jobs = await self._claim()
            for job in jobs:
                yield self._message(job)
            if len(self.held) >= self.slots:
                await self.wake.wait()  # an ack frees a slot and wakes us
            elif not jobs and await self._lie_down():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), self.poll_every_s)

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
            await self._pause(error)
            return []
        self.held.update({job.fence(self.worker): job for job in jobs})
        if jobs and self.idle:
            await self._get_up()
        return jobs

    def _limit(self) -> int:
        """A quarter of the slots at a time, so that a tenant cannot pass its share by much."""
        return min(self.slots - len(self.held), max(1, self.slots // 4))

    def _sated(self) -> list[TenantSlug]:
        """Tenants with three quarters of the slots: when all of theirs hangs, others still get through."""
        held = Counter(job.tenant for job in self.held.values())
        share = max(1, self.slots * 3 // 4)
        return [tenant for tenant, count in held.items() if count >= share]

    async def _get_up(self) -> None:
        """We sleep no more. If that cannot be said, the next heartbeat says it; the jobs are ours all the same."""
        self.idle = False
        with contextlib.suppress(Exception):
            await self._say(idle=False)

    async def _lie_down(self) -> bool:
        """Whether we may sleep. The first time we only say so: a job may have come before it was said, so look again."""
        if self.idle:
            return True
        try:
            await self._say(idle=True)
            self.idle = True
        except Exception as error:  # noqa: BLE001 - the worker's edge
            await self._pause(error)
        return False

    async def _say(self, *, idle: bool) -> None:
        async with self.database.connection() as connection:
            await connection.execute(_SAY, {"worker": self.worker, "idle": idle})

    def _message(self, job: Claimed) -> AckableMessage:
        fence = job.fence(self.worker)
        message = TaskiqMessage(
            task_id=str(job.id),
            task_name=TASK,
            labels={},
            args=[],
            kwargs={"job_id": str(job.id), "attempt": job.attempt},
        )
        return AckableMessage(data=self.formatter.dumps(message).message, ack=lambda: self.drop(fence))

    async def _hear(self) -> None:
        """LISTEN on a connection of its own; when it is cut, wake (something may have been missed) and go back."""
        while True:
            try:
                await self._hear_until_cut()
            except Exception as error:  # noqa: BLE001 - the worker's edge
                await self._pause(error)

    async def _hear_until_cut(self) -> None:
        connection, cut = await self.database.connect_raw(), asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: cut.set())
            await connection.add_listener(CHANNEL, lambda *_: self.wake.set())
            self.wake.set()
            await cut.wait()
        finally:
            connection.terminate()

    async def _pause(self, error: Exception) -> None:
        """Postgres may be away, or its disk full: say so, wait a moment, and let the caller's loop go round again."""
        if is_away(error):
            log.warning("broker.database_away", error=type(error).__name__)
        else:
            log.error("broker.failed", exc_info=error)
        await asyncio.sleep(RECONNECT_S)
