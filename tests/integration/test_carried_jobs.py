"""Jobs over NATS, Redis and RabbitMQ: whatever a broker loses, doubles or delays, each runs once and in its order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetprompt.runtime.jobs import NewJob
from tests.chaos.brokers import BROKERS, Server, why_not
from tests.house import House, fresh_house
from tests.jobs import add, all_done, marks, prepare, until, working


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


@pytest.fixture(params=BROKERS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    server = BROKERS[request.param](tmp_path / "broker")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_jobs_are_done_over_a_broker(house: House, broker: Server) -> None:
    async with working(house, broker_url=broker.url) as worker:
        await until(lambda: asyncio.sleep(0, result=worker.broker.link.is_up))
        await add(house, *[NewJob("mark", {"note": str(n)}) for n in range(50)])
        await until(lambda: all_done(house))
    assert sorted(await marks(house), key=int) == [str(n) for n in range(50)]
