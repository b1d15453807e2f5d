"""Jobs over NATS, Redis and RabbitMQ: whatever a broker loses, doubles or delays, each runs once and in its order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetprompt.runtime.jobs import NewJob
from tests import killing, programs
from tests.carrying import broker_of, laned, linked, meddling, require_each_once_in_order
from tests.chaos.brokers import BROKERS, Server
from tests.house import GLOBEX, House, fresh_house
from tests.jobs import add, all_done, marks, prepare, until, working

JOBS = 200
NEVER_S = 60.0


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


@pytest.fixture(
    params=[
        pytest.param(kind, marks=[pytest.mark.slow] if kind == "amqp" else [])  # its server starts slowly
        for kind in BROKERS
    ]
)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    async with broker_of(request.param, tmp_path / "broker") as server:
        yield server


async def some_done(house: House) -> bool:
    return len(await marks(house)) >= JOBS // 5


async def test_jobs_are_carried_and_a_sleeper_is_woken(house: House, broker: Server) -> None:
    async with working(house, broker_url=broker.url, poll_every_s=NEVER_S) as worker:
        await linked(worker)
        await until(lambda: house.value("select idle from public.worker"))
        await add(house, *[NewJob("mark", {"note": str(n)}) for n in range(50)])
        assert await until(lambda: all_done(house)) < NEVER_S / 2
    assert sorted(await marks(house), key=int) == [str(n) for n in range(50)]


async def test_of_two_workers_one_is_killed(house: House, broker: Server) -> None:
    with (
        killing.running(programs.work, house.url, {"broker_url": broker.url}) as first,
        killing.running(programs.work, house.url, {"broker_url": broker.url}),
    ):
        await until(lambda: house.value("select count(*) = 2 from public.worker"))
        await add(house, *laned(JOBS))
        await until(lambda: some_done(house))
        first.kill()
        await until(lambda: all_done(house))
    await require_each_once_in_order(house, JOBS)


async def test_the_broker_is_emptied_and_restarted_in_the_middle(house: House, broker: Server) -> None:
    async with working(house, broker_url=broker.url) as worker:
        await linked(worker)
        await add(house, *laned(JOBS))
        await until(lambda: some_done(house))
        await broker.empty(0.5)
        await until(lambda: all_done(house))
        await linked(worker)
        await add(house, NewJob("mark", {"note": "afterwards"}), tenant=GLOBEX)
        await until(lambda: marks(house, tenant=GLOBEX))
    await require_each_once_in_order(house, JOBS)


async def test_messages_come_twice_late_and_out_of_order(house: House, broker: Server) -> None:
    async with working(house, broker_url=broker.url), meddling(house, broker) as sent:
        await add(house, *laned(JOBS))
        await until(lambda: all_done(house))
    await require_each_once_in_order(house, JOBS)
    assert sum(sent) > 0
