"""Workers for tests, in this process or another, and jobs that leave marks in their tenant's schema."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import JobId, TenantSlug
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.work import Postpone
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Tenancy, TenantSession
from tests.house import ACME, GLOBEX, House

FAST: dict[str, Any] = {
    "lease_s": 1.0,
    "heartbeat_s": 0.3,
    "reap_every_s": 0.3,
    "poll_every_s": 0.2,
    "shutdown_grace_s": 1.0,
    "worker_slots": 8,
}
MARKS = "create table marks (n bigserial, note text, job uuid, attempt int, worker text, at timestamptz default clock_timestamp())"
PATIENCE_S = 60.0


async def prepare(house: House) -> None:
    """A table for marks in each tenant."""
    for tenant in (ACME, GLOBEX):
        await house.tenant_rows(tenant, MARKS)


async def add(house: House, *jobs: NewJob, tenant: TenantSlug = ACME) -> list[JobId]:
    """Enqueue jobs in a transaction of their own."""
    async with house.tenancy.session(tenant) as session:
        return await enqueue(session, *jobs)


async def marks(house: House, note: str = "%", tenant: TenantSlug = ACME) -> list[str]:
    """The notes that jobs left, in order."""
    rows = await house.tenant_rows(tenant, "select note from marks where note like $1 order by n", note)
    return [row[0] for row in rows]


async def until(is_true: Callable[[], Awaitable[object]], within_s: float = PATIENCE_S) -> float:
    """Wait for it; returns the seconds it took."""
    began = time.monotonic()
    while not await is_true():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def all_done(house: House) -> bool:
    """Whether no job is left but dead ones."""
    return bool(await house.value("select count(*) = 0 from public.job where state <> 'dead'"))


async def mark(session: TenantSession, work: Work, note: str) -> None:
    """Leave a mark in the session's transaction."""
    statement = text("insert into marks (note, job, attempt, worker) values (:note, :job, :attempt, :worker)")
    values = {"job": work.fence.job_id, "attempt": work.fence.attempt, "worker": work.fence.worker}
    await session.execute(statement, {"note": note, **values})


async def _mark(work: Work) -> None:
    async with work.finish() as session:
        await mark(session, work, str(work.args.get("note", "done")))


async def _slow(work: Work) -> None:
    """Two transactions with a pause between."""
    async with work.step() as session:
        await mark(session, work, f"begun {work.args.get('note', '')}")
    await asyncio.sleep(work.args["s"])
    async with work.finish() as session:
        await mark(session, work, f"done {work.args.get('note', '')}")


async def _long_step(work: Work) -> None:
    """One transaction that stays open."""
    async with work.step() as session:
        await asyncio.sleep(work.args["s"])
        await mark(session, work, f"step {work.args.get('note', '')}")


async def _long_finish(work: Work) -> None:
    async with work.finish() as session:
        await asyncio.sleep(work.args["s"])
        await mark(session, work, f"finish {work.args.get('note', '')}")


async def _fail(work: Work) -> None:
    raise ValueError("a message body that nobody may store")


async def _poison(work: Work) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _postpone(work: Work) -> None:
    """As often as the arguments say, then done."""
    async with work.step() as session:
        times = (await session.execute(text("select count(*) from marks"))).scalar_one()
        await mark(session, work, "postponed" if times < work.args["times"] else "done")
    if times < work.args["times"]:
        raise Postpone(0.05, "the far side is busy")


async def _died(work: Work) -> None:
    async with work.finish() as session:
        await mark(session, work, f"died {work.args['kind']}: {work.args['error']}")


KINDS = {
    "mark": _mark,
    "slow": _slow,
    "long_step": _long_step,
    "long_finish": _long_finish,
    "fail": _fail,
    "poison": _poison,
    "postpone": _postpone,
    "job.died": _died,
}


def registry_of(*names: str) -> Registry:
    """A registry with some of the kinds above; all, if none is named."""
    registry = Registry()
    for name in names or KINDS:
        registry.add_job(JobKind(name, KINDS[name]))
    return registry


def worker_on(database: Database, registry: Registry, **settings: Any) -> Worker:
    """A worker in a hurry."""
    return Worker(Tenancy(database), registry, Settings(**{**FAST, **settings}))


@contextlib.asynccontextmanager
async def working(house: House, registry: Registry | None = None, **settings: Any) -> AsyncIterator[Worker]:
    """A worker in this process, stopped at the end of the block."""
    worker, stop = worker_on(house.database, registry or registry_of(), **settings), asyncio.Event()
    task = asyncio.create_task(worker.serve(stop))
    try:
        yield worker
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)
