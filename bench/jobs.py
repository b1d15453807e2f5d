"""No-op jobs a second: on Postgres, over NATS through our dispatcher, and by procrastinate, in turns on one server."""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import procrastinate
from sqlalchemy.engine import make_url

from bench.figure import Figure
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.carried import CarriedBroker
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.settings import Settings
from tests.chaos.brokers import Nats
from tests.database import asyncpg_arguments, fresh_database
from tests.house import ACME, House

JOBS = 2_000
ROUNDS = 3
AT_ONCE = 32
PEER_GOAL = 4.0
BROKER_GOAL = 0.9


async def measure(house: House) -> list[Figure]:
    """Medians; each round takes its turns one after the other, so that a busy moment hits all."""
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="fleetprompt-bench-") as folder:
        nats = Nats(Path(folder) / "nats")
        await nats.start()
        try:
            async with fresh_database() as url:
                turns: dict[str, Callable[[], Awaitable[float]]] = {
                    "ours": lambda: _ours(house, None),
                    "nats": lambda: _ours(house, nats.url),
                    "peer": lambda: _procrastinate(url),
                }
                rates = await _in_turns(turns)
        finally:
            await nats.stop()
    ours = rates["ours"]
    return [
        _beside("no-op jobs/s, floor: procrastinate", ours, rates["peer"], PEER_GOAL),
        _beside("no-op jobs/s, floor: the same over NATS", ours, rates["nats"], BROKER_GOAL),
    ]


def _beside(name: str, value: float, floor: float, goal: float) -> Figure:
    return Figure(name, value, floor, value / floor, f">= {goal:g}", value / floor >= goal)


async def _in_turns(turns: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, float]:
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS):
        for name, turn in turns.items():
            rates[name].append(await turn())
    return {name: statistics.median(found) for name, found in rates.items()}


async def _ours(house: House, broker_url: str | None) -> float:
    """From the start of a worker that finds them waiting to the last end, as with the peer."""
    registry, done, all_done = Registry(), 0, asyncio.Event()

    async def nothing(work: Work) -> None:
        nonlocal done
        done += 1
        if done == JOBS:
            all_done.set()

    registry.add_job(JobKind("bench.nothing", nothing))
    async with house.tenancy.session(ACME) as session:
        await enqueue(session, *(NewJob("bench.nothing", {}) for _ in range(JOBS)))
    worker = Worker(
        house.tenancy, registry, Settings.model_validate({"worker_slots": AT_ONCE, "broker_url": broker_url})
    )
    stop, began = asyncio.Event(), time.perf_counter()
    serving = asyncio.create_task(worker.serve(stop))
    await all_done.wait()
    while await house.value("select exists (select 1 from public.job where kind = 'bench.nothing')"):
        await asyncio.sleep(0.005)
    rate = JOBS / (time.perf_counter() - began)
    if isinstance(worker.broker, CarriedBroker):
        assert worker.broker.link.is_up, "NATS carried nothing"
    stop.set()
    await serving
    return rate


async def _procrastinate(url: str) -> float:
    """Its own asynchronous connector and worker, as many jobs at a time, as its documentation sets them up."""
    known = asyncpg_arguments(make_url(url))
    arguments = {"dbname" if name == "database" else name: value for name, value in known.items()}
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(kwargs=arguments, min_size=4, max_size=AT_ONCE)
    )

    @app.task(name="bench.nothing")
    async def nothing() -> None:
        await asyncio.sleep(0)

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await nothing.batch_defer_async(*({} for _ in range(JOBS)))
        began = time.perf_counter()
        await app.run_worker_async(
            wait=False, concurrency=AT_ONCE, install_signal_handlers=False, delete_jobs="always"
        )
        return JOBS / (time.perf_counter() - began)
