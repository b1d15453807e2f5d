"""Workers and listeners as processes of their own on one database: one dies, one freezes, and nobody notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.carrying import broker_of, pid_of
from tests.command_line import CommandLine, line, staying, stopped
from tests.distributed import frozen, held_by_another, over_tcp, spread
from tests.house import ACME, fresh_house
from tests.jobs import until
from tests.town import Town, town

DEFAULT_LEASES = {"lease_s": 5.0, "heartbeat_s": 1.5, "reap_every_s": 1.0, "poll_every_s": 1.0}


@pytest.fixture
async def play() -> AsyncIterator[Town]:
    async with town() as made:
        yield made


@pytest.fixture
async def url(play: Town) -> AsyncIterator[str]:
    async with over_tcp(play.house.url) as address:
        yield address


async def each_once(play: Town, *roots: str) -> None:
    """Each question is one signal and has one answer."""
    await play.answered(*roots)
    await play.settled()
    assert [len(play.answers(root)) for root in roots] == [1] * len(roots)
    assert play.doubled() == []
    heard = await play.house.tenant_rows(
        ACME, "select 1 from signals where name = 'chat.message.received' and actor_kind = 'human'"
    )
    assert len(heard) == len(roots)


@pytest.mark.slow
async def test_a_killed_listeners_connection_moves_within_ten_seconds(
    play: Town, url: str, tmp_path: Path
) -> None:
    """With the leases that a service has by default."""
    with spread(play, url, tmp_path, **DEFAULT_LEASES) as processes:
        first = await held_by_another(play.house, None, 30.0)
        asked = [play.ask("@fleet where is order 1234?")]
        await play.answered(*asked)
        processes[first].kill()
        asked.append(play.ask("@fleet where is order 1042?"))
        assert await held_by_another(play.house, first, 10.0) in processes
        await each_once(play, *asked)


@pytest.mark.slow
async def test_a_frozen_listener_that_thaws_after_its_lease_delivers_nothing_twice(
    play: Town, url: str, tmp_path: Path
) -> None:
    with spread(play, url, tmp_path) as processes:
        first = await held_by_another(play.house, None, 30.0)
        asked = [play.ask("@fleet where is order 1234?")]
        await play.answered(*asked)
        with frozen(first):
            asked += [play.ask(f"@fleet where is order {number}?") for number in (1042, 1234)]
            assert await held_by_another(play.house, first) in processes
            await play.answered(*asked)
        asked += [play.ask(f"@fleet where is order {number}?") for number in (1042, 1234)]
        await each_once(play, *asked)
        await asyncio.sleep(
            1.5
        )  # a lease: whatever the thawed one still had in its hands has come to its end
        assert [len(play.answers(root)) for root in asked] == [1] * len(asked)


@pytest.mark.slow
async def test_over_a_broker_a_killed_worker_and_a_killed_listener_cost_no_answer(
    play: Town, url: str, tmp_path: Path
) -> None:
    async with broker_of("nats", tmp_path / "broker") as server:
        with spread(play, url, tmp_path, broker_url=server.url) as processes:
            first = await held_by_another(play.house, None, 30.0)
            await until(lambda: play.house.value("select count(*) from public.worker"), 30.0)
            asked = [play.ask("@fleet where is order 1234?") for _ in range(5)]
            workers = await play.house.rows("select pid from public.worker order by pid")
            processes[workers[0]["pid"]].kill()
            asked += [play.ask("@fleet where is order 1042?") for _ in range(5)]
            processes[first].kill()
            asked += [play.ask("@fleet please hold order 1042 because the customer moved")]
            await each_once(play, *asked)
        assert [hold.number for hold in play.desk.ledger] == ["1042"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["there", "away", "frozen"])
async def test_a_worker_stops_in_time_wherever_its_broker_is(tmp_path: Path, way: str) -> None:
    async with fresh_house() as house, broker_of("nats", tmp_path / "broker") as server:
        if way == "away":
            await server.stop()
        run = CommandLine.on(house.url, FLEETPROMPT_BROKER_URL=server.url, FLEETPROMPT_METRICS_PORT="0")
        async with staying(run, "worker") as process:
            base = (await line(process, r"metrics are on (http://\S+)"))[1]
            await until(lambda: house.value("select count(*) from public.worker"))
            async with httpx2.AsyncClient(base_url=base) as client:
                wanted = f"fleetprompt_broker_up {float(way != 'away')}"

                async def said() -> bool:
                    return wanted in (await client.get("/metrics")).text

                await until(said)
                assert (await client.get("/readyz")).status_code == 200
            with frozen(pid_of(server)) if way == "frozen" else contextlib.nullcontext():
                assert await stopped(process) == 0
