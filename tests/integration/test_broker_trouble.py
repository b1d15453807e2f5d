"""The broker away, frozen, forgetful; workers of two versions; deaths on the way to it and back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.runtime.jobs import NewJob
from fleetprompt.runtime.jobs.carriers import make_carrier, queue_name
from tests import killing, programs
from tests.carrying import broker_of, carried, laned, linked, pid_of, require_each_once_in_order
from tests.chaos.brokers import Server
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add, all_done, marks, prepare, registry_of, until, working

NOBODY = "nats://127.0.0.1:1"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Server]:
    async with broker_of("nats", tmp_path / "broker") as server:
        yield server


async def down(worker: Any) -> bool:
    return not carried(worker).link.is_up


async def test_with_the_broker_away_jobs_are_taken_from_postgres(house: House) -> None:
    async with working(house, broker_url=NOBODY):
        await add(house, *laned(50))
        await until(lambda: all_done(house))
    await require_each_once_in_order(house, 50)


@pytest.mark.parametrize("scheme", ["nats", "amqp", "redis"])
async def test_each_library_says_that_nobody_is_there_and_no_password(
    house: House, scheme: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with working(house, broker_url=f"{scheme}://me:hunter2@127.0.0.1:1"):
        await add(house, NewJob("mark", {}))
        await until(lambda: all_done(house))
    said = capfd.readouterr()
    assert "broker.away" in said.out + said.err + caplog.text
    assert "hunter2" not in said.out + said.err + caplog.text


async def test_a_broker_that_comes_late_carries_from_then_on(house: House, tmp_path: Path) -> None:
    async with broker_of("nats", tmp_path / "broker") as server:
        await server.stop()
        async with working(house, broker_url=server.url) as worker:
            await add(house, *laned(20))
            await until(lambda: all_done(house))
            await server.start()
            await linked(worker)
            await add(house, NewJob("mark", {}), tenant=GLOBEX)
            await until(lambda: all_done(house))
    await require_each_once_in_order(house, 20)


async def test_a_frozen_broker_is_noticed_and_done_without(house: House, nats: Server) -> None:
    async with working(house, broker_url=nats.url) as worker:
        await linked(worker)
        pid = pid_of(nats)
        os.kill(pid, signal.SIGSTOP)
        try:
            await add(house, *laned(50))
            await until(lambda: all_done(house))
        finally:
            os.kill(pid, signal.SIGCONT)
        await linked(worker)
    await require_each_once_in_order(house, 50)


async def test_a_queue_that_somebody_deleted_is_made_anew(house: House, nats: Server) -> None:
    async with working(house, broker_url=nats.url) as worker:
        await linked(worker)
        queue = await queue_name(house.database)
        carrier = make_carrier(nats.url, queue, 1)
        await carrier.broker.startup()
        await carrier.broker.js.delete_stream(queue)  # type: ignore[attr-defined]
        await carrier.broker.shutdown()
        await until(lambda: down(worker))
        await linked(worker)
        await add(house, *laned(50))
        await until(lambda: all_done(house))
    await require_each_once_in_order(house, 50)


@pytest.mark.parametrize("point", ["job.dispatched", "job.sent", "job.accepted", "job.claimed"])
async def test_a_death_between_hand_over_and_work_loses_nothing(
    house: House, nats: Server, point: str
) -> None:
    await add(house, *laned(20))
    await killing.dies(programs.work, house.url, {"broker_url": nats.url}, fault=point)
    async with working(house, broker_url=nats.url):
        await until(lambda: all_done(house))
    await require_each_once_in_order(house, 20)


async def test_an_old_worker_leaves_a_new_kind_to_the_new_one(house: House, nats: Server) -> None:
    """Both read the same queue, so half of them come to the old one; none loses an attempt."""
    async with (
        working(house, registry_of("mark"), broker_url=nats.url) as old,
        working(house, registry_of("mark", "slow"), broker_url=nats.url) as new,
    ):
        await linked(old)
        await linked(new)
        await add(house, *[NewJob("slow", {"s": 0, "note": str(n)}) for n in range(6)])
        await until(lambda: all_done(house))
    rows = await house.tenant_rows(ACME, "select attempt, worker from marks where note like 'done%'")
    assert {tuple(row) for row in rows} == {(1, new.id)}
    assert len(rows) == 6


async def test_a_kind_that_nobody_knows_is_not_carried_round_in_circles(house: House, nats: Server) -> None:
    async with working(house, registry_of("mark"), broker_url=nats.url) as worker:
        await linked(worker)
        await add(house, NewJob("slow", {"s": 0}), NewJob("mark", {}))
        await until(lambda: marks(house))
        await asyncio.sleep(0.5)
        row = (await house.rows("select state, attempt from public.job"))[0]
        assert tuple(row) == ("available", 0)


async def test_one_tenants_hanging_jobs_leave_room_for_anothers(house: House, nats: Server) -> None:
    async with working(house, broker_url=nats.url, poll_every_s=60.0, shutdown_grace_s=0.2) as worker:
        await linked(worker)
        await add(house, *[NewJob("slow", {"s": 60, "note": str(n)}) for n in range(100)])
        await until(lambda: house.value("select count(*) = 6 from public.job where state = 'running'"))
        await add(house, NewJob("mark", {}), tenant=GLOBEX)
        assert await until(lambda: marks(house, tenant=GLOBEX)) < 10


async def test_a_stopped_workers_jobs_are_the_next_ones_at_once(house: House, nats: Server) -> None:
    long: dict[str, Any] = {"broker_url": nats.url, "lease_s": 10.0, "worker_slots": 4}
    async with working(house, shutdown_grace_s=0.2, **long) as worker:
        await linked(worker)
        await add(house, *[NewJob("slow", {"s": 60, "note": str(n)}) for n in range(10)])
        await until(lambda: marks(house, "begun%"))
    assert await house.value("select count(*) = 0 from public.job where state = 'running'")
    await house.rows("""update public.job set args = args || '{"s": 0}'""")
    async with working(house, **long):
        await until(lambda: all_done(house))
    assert len(await marks(house, "done%")) == 10
