"""A worker's ears: woken by NOTIFY, by its poll, and again after every cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import migrate_public
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.tenancy import Tenancy
from fleetprompt.tenancy.organizations import create_organization
from tests.database import reachable_directory
from tests.embedded import started
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add, all_done, marks, prepare, until, working

NEVER_S = 60.0
"""A poll so rare that only a notification can have woken the worker."""
IS_IDLE = "select count(*) = 1 from public.worker where idle"
LISTENERS = "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def idle(house: House) -> bool:
    """Whether the worker sleeps, and said so."""
    return bool(await house.value(IS_IDLE))


async def deaf(house: House) -> int:
    """Cut the connections that listen; returns how many."""
    return len(await house.rows(f"select pg_terminate_backend(pid) from ({LISTENERS}) x"))


async def test_a_sleeping_worker_is_woken_by_the_commit_of_a_job(house: House) -> None:
    async with working(house, poll_every_s=NEVER_S):
        await until(lambda: idle(house))
        await add(house, NewJob("mark", {}))
        assert await until(lambda: marks(house)) < NEVER_S / 2


async def test_a_worker_that_hears_nothing_polls(house: House) -> None:
    await house.rows("alter table public.job disable trigger wake_a_sleeper")
    async with working(house, poll_every_s=0.2):
        await until(lambda: idle(house))
        await add(house, NewJob("mark", {}))
        await until(lambda: marks(house))


async def test_a_busy_worker_is_not_notified(house: House) -> None:
    heard: list[str] = []
    listener = await house.database.connect_raw()
    try:
        await listener.add_listener("fleetprompt_job", lambda *_: heard.append("!"))
        await add(house, NewJob("mark", {}))
        assert await listener.fetchval("select 1") == 1
        assert heard == []
        await house.rows("insert into public.worker (id, idle, host, pid) values ('sleeper', true, '', 0)")
        await add(house, NewJob("mark", {}))
        await until(lambda: asyncio.sleep(0, result=heard))
        assert heard == ["!"]
    finally:
        await listener.close()


async def test_a_worker_whose_ear_was_cut_hears_again(house: House) -> None:
    async with working(house, poll_every_s=NEVER_S):
        await until(lambda: idle(house))
        assert await deaf(house) == 1
        await until(lambda: house.value(LISTENERS))
        await until(lambda: idle(house))
        await add(house, NewJob("mark", {}))
        assert await until(lambda: marks(house)) < NEVER_S / 2


async def test_a_job_that_came_while_the_ear_was_cut_is_found(house: House) -> None:
    async with working(house, poll_every_s=NEVER_S):
        await until(lambda: idle(house))
        await asyncio.gather(deaf(house), add(house, NewJob("mark", {})))
        assert await until(lambda: marks(house)) < NEVER_S / 2


async def test_a_sleeper_that_the_registry_forgot_is_woken_again(house: House) -> None:
    """The table of workers is unlogged, so a crash of the server empties it."""
    async with working(house, poll_every_s=NEVER_S):
        await until(lambda: idle(house))
        await house.rows("truncate public.worker")
        await until(lambda: idle(house))
        await add(house, NewJob("mark", {}))
        assert await until(lambda: marks(house)) < NEVER_S / 2


async def test_workers_that_died_without_a_word_are_forgotten(house: House) -> None:
    await house.rows(
        "insert into public.worker (id, idle, host, pid, seen_at) values ('old', true, '', 0, now() - interval '2 minutes')"
    )
    async with working(house):
        await until(lambda: house.value("select count(*) = 0 from public.worker where id = 'old'"))


@pytest.mark.parametrize("error", [asyncpg.DiskFullError("no space left"), RuntimeError("anything")])
async def test_a_claim_that_fails_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, errors = claim.claim, [error, error]

    async def fail(*arguments: Any) -> list[claim.Claimed]:
        if errors:
            raise errors.pop()
        return await real(*arguments)

    monkeypatch.setattr(claim, "claim", fail)
    await add(house, NewJob("mark", {}))
    async with working(house):
        await until(lambda: marks(house))


async def test_a_job_is_run_though_the_worker_cannot_say_that_it_is_awake(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(house) as worker:
        await until(lambda: idle(house))

        async def away(**_: Any) -> None:
            raise ConnectionResetError

        monkeypatch.setattr(worker.broker.sleeper, "_say", away)
        await add(house, NewJob("mark", {}))
        await until(lambda: marks(house))


async def test_a_connection_that_was_cut_in_the_pool_is_replaced_at_its_next_use(house: House) -> None:
    for _ in range(3):
        await add(house, NewJob("mark", {}))
        await cut_all(house)
    assert await house.value("select count(*) from public.job") == 3


async def cut_all(house: House) -> None:
    """Cut every connection to the database but the one that does it."""
    await house.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    await asyncio.sleep(0.1)  # until the news has arrived


async def test_work_goes_on_after_every_connection_was_cut(house: House) -> None:
    await add(house, *[NewJob("slow", {"s": 0.5, "note": str(n)}) for n in range(4)])
    async with working(house):
        await until(lambda: marks(house, "begun%"))
        await cut_all(house)
        await add(house, *[NewJob("mark", {"note": f"late {n}"}) for n in range(4)])
        await until(lambda: all_done(house))
    assert sorted(await marks(house, "done%")) == [f"done {n}" for n in range(4)]
    assert len(await marks(house, "late%")) == 4


@pytest.mark.parametrize("way", ["restart", "kill"])
async def test_work_goes_on_after_postgres_was_gone(way: str) -> None:
    with reachable_directory() as directory:
        async with started(directory / "data") as server:
            house = await furnished((await server.start()).url())
            try:
                async with working(house, shutdown_grace_s=5.0):
                    await until(lambda: idle(house))
                    await add(house, NewJob("slow", {"s": 1.5}))
                    await until(lambda: marks(house, "begun%"))
                    await (server.restart() if way == "restart" else server.kill())
                    await until(lambda: works_again(house))
                assert await marks(house, "done%") == ["done "]
            finally:
                await house.database.close()


async def furnished(url: str) -> House:
    database = Database(url)
    await migrate_public(database)
    for slug in (ACME, GLOBEX):
        await create_organization(database, slug)
    house = House(url, database, Tenancy(database))
    await prepare(house)
    return house


async def works_again(house: House) -> bool:
    """Whether the old job is done and a new one is taken."""
    try:
        await add(house, NewJob("mark", {"note": "after"}, unique_key="after"))
        return {"done ", "after"} <= set(await marks(house))
    except (OSError, DBAPIError, asyncpg.PostgresError):
        return False
