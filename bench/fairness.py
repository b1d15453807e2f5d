"""What a flood of one tenant costs another: the time from asking to done, beside the same without the flood."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.figure import Figure
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from tests.house import ACME, GLOBEX, House

FLOOD, ASKED = 60_000, 40
TAKES_S = 0.2  # as a quick model does; the worker waits meanwhile
MOST = 1.1


async def measure(house: House, flood: int = FLOOD, asked: int = ASKED, takes_s: float = TAKES_S) -> Figure:
    """The median of globex in milliseconds while thousands of acme's jobs wait; floor: while none does."""
    registry, done = Registry(), asyncio.Event()

    async def think(work: Work) -> None:
        await asyncio.sleep(takes_s)
        if work.tenant == GLOBEX:
            done.set()

    registry.add_job(JobKind("bench.think", think))
    async with _working(house, registry):
        alone_ms = await _median_ms(house, done, asked)
        await house.rows(
            "insert into public.job (id, tenant, kind, args, lane, position)"
            " select gen_random_uuid(), $1, 'bench.think', '{}', $1 || ':' || n % 1000, n from generate_series(1, $2) n",
            ACME,
            flood,
        )
        flooded_ms = await _median_ms(house, done, asked)
    ratio = flooded_ms / alone_ms
    name = f"another tenant's job beside {flood:,} waiting, ms"
    return Figure(name, flooded_ms, alone_ms, ratio, f"at most {MOST}", ratio <= MOST)


async def _median_ms(house: House, done: asyncio.Event, asked: int) -> float:
    taken_ms = []
    for _ in range(asked):
        done.clear()
        began = time.perf_counter()
        async with house.tenancy.session(GLOBEX) as session:
            await enqueue(session, NewJob("bench.think", {}))
        await done.wait()
        taken_ms.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken_ms)


@asynccontextmanager
async def _working(house: House, registry: Registry) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = Settings(worker_slots=16, shutdown_grace_s=0.5)
    worker = asyncio.create_task(Worker(house.tenancy, registry, settings).serve(stop))
    try:
        yield
    finally:
        stop.set()
        await worker
