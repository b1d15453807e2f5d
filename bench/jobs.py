"""No-op jobs through taskiq on Postgres, beside the same number of rows inserted and deleted one by one."""

from __future__ import annotations

import asyncio
import time

from bench.figure import Figure
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from tests.house import ACME, House

JOBS = 3_000


async def measure(house: House) -> Figure:
    """Jobs a second from the first claim to the last end."""
    registry, done, all_done = Registry(), 0, asyncio.Event()

    async def nothing(work: Work) -> None:
        nonlocal done
        done += 1
        if done == JOBS:
            all_done.set()

    registry.add_job(JobKind("bench.nothing", nothing))
    async with house.tenancy.session(ACME) as session:
        await enqueue(session, *(NewJob("bench.nothing", {}) for _ in range(JOBS)))
    stop = asyncio.Event()
    began = time.perf_counter()
    worker = asyncio.create_task(Worker(house.tenancy, registry, Settings(worker_slots=32)).serve(stop))
    await all_done.wait()
    rate = JOBS / (time.perf_counter() - began)
    stop.set()
    await worker
    floor = await _floor(house)
    return Figure("no-op jobs/s", rate, floor, rate / floor, "shown", True)


async def _floor(house: House) -> float:
    """One claim and one delete a job, 32 at a time, by hand."""

    async def one() -> None:
        async with house.database.connection() as connection:
            await connection.exec_driver_sql(
                "insert into public.job (id, tenant, kind, args) values (gen_random_uuid(), 'acme', 'bench.floor', '{}')"
            )
        async with house.database.connection() as connection:
            await connection.exec_driver_sql(
                "delete from public.job where id = (select id from public.job where kind = 'bench.floor'"
                " limit 1 for update skip locked)"
            )

    async def caller(count: int) -> None:
        for _ in range(count):
            await one()

    began, callers = time.perf_counter(), 20
    await asyncio.gather(*(caller(JOBS // 4 // callers) for _ in range(callers)))
    return JOBS // 4 / (time.perf_counter() - began)
