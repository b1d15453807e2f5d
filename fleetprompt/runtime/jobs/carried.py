"""`CarriedBroker`: jobs that NATS, RabbitMQ or Redis carry between workers.

Each worker hands out (`dispatcher`) and receives. What arrives is claimed before it is acknowledged, several at a
time, and only what was claimed is yielded; so the worker behind it is the same as with `PgBroker`. While the broker
is away, jobs are claimed from Postgres directly: what is missed is the hand-over, not the work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from taskiq import AckableMessage, BrokerMessage
from taskiq.utils import maybe_awaitable

from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.runtime.jobs import dispatch
from fleetprompt.runtime.jobs.broker import PgBroker, message_of
from fleetprompt.runtime.jobs.carriers import Carrier, make_carrier, queue_name
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.runtime.jobs.dispatch import Carried
from fleetprompt.runtime.jobs.dispatcher import Dispatcher
from fleetprompt.runtime.jobs.endings import end_tasks
from fleetprompt.runtime.jobs.link import ANSWER_S, Link
from fleetprompt.runtime.jobs.sleeper import nap, pause
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Fence

faults.declare(["job.accepted"])

STALE_S = 0.3
"""A message that has waited so long for a slot here is handed back: another worker may have one."""


class CarriedBroker(PgBroker):
    """Dispatches, receives, claims what it received; claims from Postgres alone while the broker is away."""

    def __init__(
        self,
        url: str,
        database: Database,
        worker: str,
        kinds: Callable[[], Sequence[str]],
        *,
        slots: int,
        lease_s: float,
        poll_every_s: float,
        check_every_s: float,
    ) -> None:
        super().__init__(database, worker, kinds, slots=slots, lease_s=lease_s, poll_every_s=poll_every_s)
        self.url = url
        self.link = Link(self._make_carrier, self._has_room, self.wake.set, self.sleeper.ring, check_every_s)
        self.dispatcher = Dispatcher(
            database,
            self.link,
            self.sleeper,
            self._envelope,
            batch=max(1, slots // 4),
            lease_s=lease_s,
            poll_every_s=poll_every_s,
        )
        self._dispatching: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start to hear, to receive, and to hand out."""
        await super().startup()
        self.link.start()
        self._dispatching = asyncio.create_task(self.dispatcher.run(), name="fleetprompt-dispatch")

    async def shutdown(self) -> None:
        """Stop, and hand back what arrived and was not begun."""
        await end_tasks(self._dispatching)
        await self.link.stop()
        with contextlib.suppress(Exception):  # Postgres may be away: leases end by themselves
            await self._refuse(self._next_arrived(len(self.link.arrived)))
        await super().shutdown()

    def drop(self, fence: Fence) -> None:
        """Frees a slot: for what has arrived, for what could be fetched, for what could be handed out."""
        super().drop(fence)
        self.link.room.set()
        self.dispatcher.bell.set()

    async def _claim(self) -> list[Claimed]:
        messages = self._next_arrived(self.free_slots)
        if messages:
            jobs = await self._accept(messages)
            self.link.room.set()  # duplicates took no slot
            return jobs
        return [] if self._relies_on_broker else await super()._claim()

    async def _rest(self) -> None:
        if self._relies_on_broker:
            await nap(self.wake, self.poll_every_s)
        else:
            await super()._rest()

    async def _wait_for_slot(self) -> None:
        """What was pushed to us meanwhile is not kept from others for long."""
        await nap(self.wake, STALE_S)
        if self.free_slots <= 0 and self.link.arrived:
            try:
                await self._refuse(self._next_arrived(len(self.link.arrived)))
            except Exception as error:  # noqa: BLE001 - the worker's edge
                await pause(error)

    def _next_arrived(self, limit: int) -> list[AckableMessage]:
        messages = self.link.arrived[:limit]
        del self.link.arrived[:limit]
        return messages

    async def _accept(self, messages: list[AckableMessage]) -> list[Claimed]:
        """The fence, then the acknowledgement: a death between the two brings a duplicate, which the fence refuses."""
        carried = self._read(messages)
        try:
            jobs = await dispatch.accept(self.database, self.worker, self.kinds(), carried, self.lease_s)
        except Exception as error:  # noqa: BLE001 - the worker's edge: they are looked at again
            self.link.arrived[:0] = messages
            await pause(error)
            return []
        self._hold(jobs)
        faults.reach("job.accepted")
        ours = {job.id for job in jobs}
        await self._hand_back({job: attempt for job, attempt in carried.items() if job not in ours})
        await _acknowledge(messages)
        return jobs

    async def _hand_back(self, left: Carried) -> None:
        """What we hold runs all the same; what cannot be handed back now comes back when its time is over."""
        if not left:
            return
        try:
            await dispatch.hand_back(self.database, self.kinds(), left)
        except Exception as error:  # noqa: BLE001 - the worker's edge
            await pause(error)

    async def _refuse(self, messages: list[AckableMessage]) -> None:
        if messages:
            await dispatch.hand_back(self.database, None, self._read(messages))
            await _acknowledge(messages)

    def _read(self, messages: Sequence[AckableMessage]) -> Carried:
        """Job and attempt of each message; what is none of ours says nothing."""
        carried: dict[UUID, int] = {}
        for message in messages:
            with contextlib.suppress(Exception):
                said = self.formatter.loads(message.data).kwargs
                job_id, attempt = UUID(said["job_id"]), int(said["attempt"])
                carried[job_id] = max(attempt, carried.get(job_id, 0))
        return carried

    def _envelope(self, jobs: Carried) -> list[BrokerMessage]:
        return [self.formatter.dumps(message_of(job_id, attempt)) for job_id, attempt in jobs.items()]

    async def _make_carrier(self) -> Carrier:
        return make_carrier(self.url, await queue_name(self.database), self.slots)

    @property
    def _relies_on_broker(self) -> bool:
        """At the start, until it is known whether it is there."""
        return self.link.is_up or not self.link.was_tried

    def _has_room(self) -> bool:
        return self.free_slots > len(self.link.arrived)


async def _acknowledge(messages: Sequence[AckableMessage]) -> None:
    """One that cannot be acknowledged comes again, and is a duplicate then; a frozen broker is not waited for long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            await asyncio.gather(
                *(maybe_awaitable(message.ack()) for message in messages), return_exceptions=True
            )


def make_broker(
    database: Database, worker: str, kinds: Callable[[], Sequence[str]], settings: Settings
) -> PgBroker:
    """What the settings name: Postgres itself, or a broker that carries."""
    if settings.broker_url is None:
        return PgBroker(
            database,
            worker,
            kinds,
            slots=settings.worker_slots,
            lease_s=settings.lease_s,
            poll_every_s=settings.poll_every_s,
        )
    return CarriedBroker(
        settings.broker_url.get_secret_value(),
        database,
        worker,
        kinds,
        slots=settings.worker_slots,
        lease_s=settings.lease_s,
        poll_every_s=settings.poll_every_s,
        check_every_s=settings.heartbeat_s,
    )
