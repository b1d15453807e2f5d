"""A worker: taskiq's receiver over a broker, a heartbeat, a reaper, and the clock of recurring jobs.

Recovery is a loop, never a one-shot at start. Stopping hands running work back, unharmed, within the grace period.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from taskiq.receiver import Receiver

from fleetprompt.database.engine import is_away
from fleetprompt.kernel import processes
from fleetprompt.kernel.ids import new_id
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.broker import TASK
from fleetprompt.runtime.jobs.carried import make_broker
from fleetprompt.runtime.jobs.ends import Ends
from fleetprompt.runtime.jobs.run import run_job
from fleetprompt.runtime.jobs.schedule import fire_due
from fleetprompt.runtime.jobs.sleeper import nap
from fleetprompt.runtime.registry import Registry
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Fence, Tenancy

log = structlog.get_logger("fleetprompt.worker")

ENLIST_AGAIN_S: Final = 0.2
SILENT_BEATS: Final = 1.7
"""After that somebody who has no session any more is dead; one beat alone may be late."""


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """taskiq reports a job that was handed back as an error of that job; we say so ourselves, in one line for all."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


logging.getLogger("taskiq.receiver.receiver").addFilter(_is_worth_a_line)

# Those that died without a word go too: one that seems to sleep costs every commit a NOTIFY.
_ENLIST = text(
    "with gone as (delete from public.worker where seen_at < now() - interval '1 minute' and id <> :id)"
    " insert into public.worker (id, idle, host, pid, slots, kinds, backend, machine, born)"
    " values (:id, :idle, :host, :pid, :slots, :kinds, :backend, :machine, :born)"
    " on conflict (id) do update set seen_at = now(), idle = :idle, slots = :slots, kinds = :kinds, backend = :backend"
)
_RESIGN = text("delete from public.worker where id = :id")


class Worker:
    """Runs jobs until told to stop."""

    def __init__(self, tenancy: Tenancy, registry: Registry, settings: Settings) -> None:
        self.tenancy = tenancy
        self.registry = registry
        self.settings = settings
        self.id = f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
        self.broker = make_broker(tenancy.database, self.id, lambda: list(registry.jobs), settings)

        async def job(job_id: str, attempt: int) -> None:  # taskiq renames what it registers: no bound method
            await self._run(job_id, attempt)

        self.broker.register_task(job, task_name=TASK)
        self._ends = Ends(tenancy.database)
        self._running: dict[Fence, asyncio.Task[None]] = {}
        self._suspected: set[Fence] = set()

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then hand back what is not done within the grace period."""
        await self._enlist_at_last(stop)
        receiver = Receiver(
            self.broker,
            max_async_tasks=self.settings.worker_slots,
            validate_params=False,
            wait_tasks_timeout=self.settings.shutdown_grace_s,
        )
        loops = [
            asyncio.create_task(self._every(self.settings.heartbeat_s, self._beat), name="heartbeat"),
            asyncio.create_task(self._every(self.settings.reap_every_s, self._reap), name="reaper"),
            asyncio.create_task(self._every(self.settings.reap_every_s, self._fire), name="clock"),
        ]
        log.info("worker.started", worker=self.id)
        try:
            await receiver.listen(stop)
        finally:
            await self._wind_up(loops)

    async def _run(self, job_id: str, attempt: int) -> None:
        """The one taskiq task: run the job behind a message."""
        job = self.broker.take(UUID(job_id), attempt)
        if job is None:
            return
        task, fence = asyncio.current_task(), job.fence(self.id)
        assert task is not None
        self._running[fence] = task
        try:
            await run_job(self.tenancy, self.registry.jobs, self.id, job, self._ends)
        finally:
            self._running.pop(fence, None)

    async def _beat(self) -> None:
        await self._enlist()
        held = list(self.broker.held)
        if not held:
            return
        ours = await claim.heartbeat(self.tenancy.database, self.id, held, self.settings.lease_s)
        lost = {fence for fence in held if fence not in ours and fence in self._running}
        for fence in lost & self._suspected:
            self._abandon(fence)
        self._suspected = lost

    def _abandon(self, fence: Fence) -> None:
        """Lost at two heartbeats, so not just finished: its lease ran out. Stop it, its writes would be refused."""
        log.warning("worker.lease_lost", job=str(fence.job_id))
        self._running[fence].cancel()

    async def _reap(self) -> None:
        silent_s = self.settings.heartbeat_s * SILENT_BEATS
        freed = await claim.reap(self.tenancy.database, silent_s, self.broker.sleeper.backend)
        if freed:
            log.warning("worker.reaped", jobs=freed)
        lost = await claim.take_back(self.tenancy.database)
        if lost:
            log.warning("worker.took_back_from_broker", jobs=lost)
            self.broker.sleeper.ring()

    async def _fire(self) -> None:
        await fire_due(self.tenancy, self.registry.recurring.values())

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except Exception as error:
                if not is_away(error):
                    log.error("worker.loop_failed", loop=act.__name__, exc_info=error)
            await asyncio.sleep(period_s)

    async def _enlist(self) -> None:
        is_idle = self.broker.sleeper.at_heartbeat()
        values = {
            "id": self.id,
            "idle": is_idle,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "slots": self.settings.worker_slots,
            "kinds": list(self.registry.jobs),
            "backend": self.broker.sleeper.backend,
            "machine": processes.machine(),
            "born": processes.own_birth(),
        }
        async with self.tenancy.database.at_once() as connection:
            await connection.execute(_ENLIST, values)
        self.broker.sleeper.beat(idle=is_idle)

    async def _enlist_at_last(self, stop: asyncio.Event) -> None:
        """Postgres was there a moment ago: when it is gone now, it is waited for, as it is later."""
        while not stop.is_set():
            try:
                await self._enlist()
            except Exception as error:
                if not is_away(error):
                    raise
                await nap(stop, ENLIST_AGAIN_S)
            else:
                return

    async def _wind_up(self, loops: list[asyncio.Task[None]]) -> None:
        """Cancel what still runs, then release it: another worker goes on at once."""
        tasks, released = (*self._running.values(), *loops), 0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ends.settle()
        try:
            released = await claim.release_all(self.tenancy.database, self.id)
            async with self.tenancy.database.at_once() as connection:
                await connection.execute(_RESIGN, {"id": self.id})
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("worker.left_work_to_the_reaper")
        await self.broker.shutdown()
        log.info("worker.stopped", released=released)
