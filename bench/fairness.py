"""What one tenant's trouble costs another: the time from asking to done, beside the same while that tenant rests.

Trouble is a flood of waiting jobs, an endpoint that does not answer, and messages that fail whenever they are tried.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from bench.figure import Figure
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from fleetprompt.tenancy.suspension import resume, suspend
from tests.house import ACME, GLOBEX, House

FLOOD: Final = 60_000
TURNS, ASKED = 8, 5  # in turns: so many questions while acme rests, so many while it does not
TAKES_S: Final = 0.2  # as a quick model does; the worker waits meanwhile
SILENCE_S: Final = (
    3.0  # of an endpoint that does not answer; its patience is longer, and nothing depends on it
)
MOST: Final = 1.1
TROUBLE: Final = {
    "waiting": ("bench.think", 1.0),
    "waiting for a dead endpoint": ("bench.hang", 1 / 60),
    "that fail whenever they are tried": ("bench.poison", 1 / 60),
}
"""What acme's jobs do, and how many there are for each one of the flood."""

_FILL = """
insert into public.job (id, tenant, kind, args, lane, position, max_attempts)
select gen_random_uuid(), $1, $2, '{}', $1 || ':' || n % 1000, n, 100 from generate_series(1, $3) n
"""
_RUNNING = "select count(*) from public.job where tenant = $1 and state = 'running'"
_ATTEMPTS = "select coalesce(sum(attempt), 0) from public.job where tenant = $1"


async def measure(
    house: House, flood: int = FLOOD, turns: int = TURNS, asked: int = ASKED, takes_s: float = TAKES_S
) -> list[Figure]:
    """The median of globex in milliseconds beside each kind of trouble at acme; floor: while acme rests."""
    registry, done = _registry(takes_s)
    figures = []
    async with _working(house, registry):
        for trouble, (kind, share) in TROUBLE.items():
            await suspend(house.database, ACME)
            count = max(1, round(flood * share))
            await house.rows(_FILL, ACME, kind, count)
            figures.append(await _figure(house, done, f"{count:,} {trouble}", turns, asked))
            await suspend(house.database, ACME)
            await _until(house, _RUNNING, lambda count: count == 0)
            await house.rows("delete from public.job where tenant = $1", ACME)
            await resume(house.database, ACME)
    return figures


def _registry(takes_s: float) -> tuple[Registry, asyncio.Event]:
    registry, done = Registry(), asyncio.Event()

    async def think(work: Work) -> None:
        await asyncio.sleep(takes_s)
        if work.tenant == GLOBEX:
            done.set()

    async def hang(_: Work) -> None:
        await asyncio.sleep(SILENCE_S)

    async def poison(_: Work) -> None:
        raise ValueError("as it always does")

    for kind, run in {"bench.think": think, "bench.hang": hang, "bench.poison": poison}.items():
        registry.add_job(JobKind(kind, run))
    return registry, done


async def _figure(house: House, done: asyncio.Event, trouble: str, turns: int, asked: int) -> Figure:
    alone_ms, beside_ms = list[float](), list[float]()
    for _ in range(turns):
        await _until(house, _RUNNING, lambda count: count == 0)
        alone_ms += await _taken_ms(house, done, asked)
        [[before]] = await house.rows(_ATTEMPTS, ACME)
        await resume(house.database, ACME)
        await _until(house, _ATTEMPTS, _other_than(before))  # the trouble is back
        beside_ms += await _taken_ms(house, done, asked)
        await suspend(house.database, ACME)
    floor, value = statistics.median(alone_ms), statistics.median(beside_ms)
    name = f"another tenant's job beside {trouble}, ms"
    return Figure(name, value, floor, value / floor, f"at most {MOST}", value / floor <= MOST)


def _other_than(before: int) -> Callable[[int], bool]:
    return lambda count: count != before


async def _until(house: House, count: str, is_so: Callable[[int], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so((await house.rows(count, ACME))[0][0]):
            await asyncio.sleep(0.05)


async def _taken_ms(house: House, done: asyncio.Event, asked: int) -> list[float]:
    taken_ms = []
    for _ in range(asked):
        done.clear()
        began = time.perf_counter()
        async with house.tenancy.session(GLOBEX) as session:
            await enqueue(session, NewJob("bench.think", {}))
        await done.wait()
        taken_ms.append((time.perf_counter() - began) * 1000)
    return taken_ms


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
