"""Brokers for tests of jobs, and somebody who meddles with their messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fleetprompt.runtime.jobs import NewJob
from fleetprompt.runtime.jobs.broker import message_of
from fleetprompt.runtime.jobs.carried import CarriedBroker
from fleetprompt.runtime.jobs.carriers import make_carrier, queue_name
from fleetprompt.runtime.jobs.worker import Worker
from tests.chaos.brokers import BROKERS, Server, why_not
from tests.house import House
from tests.jobs import marks, until

LANES = 10


@contextlib.asynccontextmanager
async def broker_of(kind: str, store: Path) -> AsyncIterator[Server]:
    """A server of its own; skips where there is none."""
    reason = why_not(kind)
    if reason is not None:
        pytest.skip(reason)
    server = BROKERS[kind](store)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def pid_of(server: Server) -> int:
    """Of its process."""
    assert server._process is not None
    return server._process.pid


def carried(worker: Worker) -> CarriedBroker:
    """What the worker works with."""
    assert isinstance(worker.broker, CarriedBroker)
    return worker.broker


async def linked(worker: Worker) -> None:
    """Wait until the broker is there for this worker."""
    await until(lambda: asyncio.sleep(0, result=carried(worker).link.is_up))


def laned(count: int) -> list[NewJob]:
    """Jobs that leave the mark `lane:number`, dealt out to lanes."""
    return [
        NewJob("mark", {"note": f"{n % LANES}:{n:04}"}, lane=str(n % LANES), position=n) for n in range(count)
    ]


async def require_each_once_in_order(house: House, count: int) -> None:
    """Every job of `laned` left its mark once, and each lane's marks stand in the order of their positions."""
    notes = await marks(house)
    assert sorted(notes) == sorted(job.args["note"] for job in laned(count))
    for lane in range(LANES):
        mine = [note for note in notes if note.startswith(f"{lane}:")]
        assert mine == sorted(mine)


@contextlib.asynccontextmanager
async def meddling(house: House, server: Server) -> AsyncIterator[list[int]]:
    """Messages of all jobs there are, in any order, again and again, also of those that were never handed out."""
    sent: list[int] = []
    carrier = make_carrier(server.url, await queue_name(house.database), 4)
    await carrier.broker.startup()

    async def meddle() -> None:
        while True:
            with contextlib.suppress(asyncpg.PostgresError):
                rows = await house.rows("select id, attempt from public.job order by random() limit 5")
                for row in rows:
                    message = message_of(row["id"], row["attempt"] + random.choice((0, 0, 0, -1)))
                    await carrier.broker.kick(carrier.broker.formatter.dumps(message))
                sent.append(len(rows))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(meddle())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await carrier.broker.shutdown()
