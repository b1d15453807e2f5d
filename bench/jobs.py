"""No-op jobs through taskiq on the default transport, beside procrastinate on the same server."""

from __future__ import annotations

import asyncio
import statistics
import time

from procrastinate import App, PsycopgConnector
from sqlalchemy.engine import make_url

from bench.figure import Figure
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from tests.database import asyncpg_arguments
from tests.house import ACME, House

JOBS = 1_000
ROUNDS = 3
SLOTS = 32
GOAL = 4.0


async def measure(house: House) -> Figure:
    """From the first claim to the last end; what was added before it is not timed."""
    floors_app = _procrastinate(house)
    ours, floors = [], []
    async with floors_app.open_async():
        await floors_app.schema_manager.apply_schema_async()
        for _ in range(ROUNDS):
            floors.append(await _theirs(floors_app))
            ours.append(await _ours(house))
    value, floor = statistics.median(ours), statistics.median(floors)
    name = "no-op jobs/s on Postgres; procrastinate"
    return Figure(name, value, floor, value / floor, f">= {GOAL:.0f}", value / floor >= GOAL)


async def _ours(house: House) -> float:
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
    worker = asyncio.create_task(Worker(house.tenancy, registry, Settings(worker_slots=SLOTS)).serve(stop))
    await all_done.wait()
    rate = JOBS / (time.perf_counter() - began)
    stop.set()
    await worker
    return rate


def _procrastinate(house: House) -> App:
    given = asyncpg_arguments(make_url(house.url))
    given["dbname"] = given.pop("database")
    return App(connector=PsycopgConnector(kwargs=given, max_size=SLOTS))


async def _theirs(app: App) -> float:
    async def nothing() -> None:
        pass

    task = app.tasks.get("bench.nothing") or app.task(name="bench.nothing")(nothing)
    await task.batch_defer_async(*({} for _ in range(JOBS)))
    began = time.perf_counter()
    await app.run_worker_async(
        wait=False, concurrency=SLOTS, install_signal_handlers=False, delete_jobs="always"
    )
    return JOBS / (time.perf_counter() - began)
