"""Recurring jobs: one for each tenant and period, however many schedulers look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from fleetprompt.runtime.jobs.schedule import fire_due, next_after
from fleetprompt.runtime.registry import JobKind, Recurring, Registry
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import KINDS, marks, prepare, until, working

HOURLY = Recurring("hourly", "mark", "0 * * * *")
DAILY = Recurring("daily", "mark", "17 3 * * *")
KEYS = "select unique_key from public.job order by 1"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def fire(house: House, *recurring: Recurring) -> int:
    return await fire_due(house.tenancy, recurring or (HOURLY,))


async def make_due(house: House) -> None:
    await house.rows("update public.schedule set next_at = now() - interval '3 hours'")


async def keys(house: House) -> list[str]:
    return [row[0] for row in await house.rows(KEYS)]


async def test_a_new_recurring_job_waits_for_its_first_time(house: House) -> None:
    assert await fire(house) == 0
    rows = await house.rows("select tenant, name, next_at > now() from public.schedule order by 1")
    assert [tuple(row) for row in rows] == [("acme", "hourly", True), ("globex", "hourly", True)]
    assert await keys(house) == []


async def test_each_tenant_gets_one_job_for_a_period_however_many_were_missed(house: House) -> None:
    await fire(house)
    await make_due(house)
    assert await fire(house) == 2
    assert await fire(house) == 0
    assert await keys(house) == ["acme:recurring:hourly", "globex:recurring:hourly"]
    assert await house.value("select bool_and(next_at > now()) from public.schedule")


async def test_schedulers_that_look_at_once_fire_once(house: House) -> None:
    await fire(house, HOURLY, DAILY)
    # Without its unique key, that would hide a double firing.
    await house.rows("drop index public.job_unique_key")
    for _ in range(5):
        await make_due(house)
        await asyncio.gather(*[fire(house, HOURLY, DAILY) for _ in range(8)])
        assert await house.value("select count(*) from public.job") == 4
        await house.rows("delete from public.job")


async def test_a_job_that_is_still_unfinished_is_not_piled_upon(house: House) -> None:
    await fire(house)
    for _ in range(2):
        await make_due(house)
        await fire(house)
    assert len(await keys(house)) == 2


async def test_a_dead_recurring_job_does_not_end_its_recurrence(house: House) -> None:
    await fire(house)
    await make_due(house)
    await fire(house)
    await house.rows("update public.job set state = 'dead'")
    await make_due(house)
    await fire(house)
    assert await house.value("select count(*) from public.job where state = 'available'") == 2


async def test_a_later_tenant_and_a_later_name_are_introduced(house: House) -> None:
    await fire(house)
    await house.rows("delete from public.schedule where tenant = 'globex'")
    await fire(house, HOURLY, DAILY)
    rows = await house.rows("select tenant, name from public.schedule order by 1, 2")
    assert [tuple(row) for row in rows] == [
        ("acme", "daily"), ("acme", "hourly"), ("globex", "daily"), ("globex", "hourly"),
    ]  # fmt: skip


async def test_a_tenant_that_is_not_active_is_left_in_peace(house: House) -> None:
    await fire(house)
    await house.rows("update public.organizations set state = 'suspended' where slug = 'globex'")
    await make_due(house)
    await fire(house)
    assert await keys(house) == ["acme:recurring:hourly"]


async def test_a_new_version_of_the_program_brings_its_own_times_and_kinds(house: House) -> None:
    await fire(house, DAILY)
    await make_due(house)
    await fire(house, Recurring("daily", "renamed", "30 * * * *"))
    rows = await house.rows("select kind, cron, extract(minute from next_at)::int from public.schedule")
    assert {tuple(row) for row in rows} == {("renamed", "30 * * * *", 30)}
    assert await house.value("select count(*) from public.job where kind = 'renamed'") == 2


async def test_a_name_that_this_program_does_not_know_is_left_to_one_that_does(house: House) -> None:
    await fire(house, DAILY)
    await make_due(house)
    assert await fire(house, HOURLY) == 0


async def test_a_worker_fires_and_runs_what_recurs(house: House) -> None:
    registry = Registry()
    registry.add_job(JobKind("mark", KINDS["mark"]))
    registry.add_recurring(HOURLY)
    async with working(house, registry):
        await until(lambda: house.value("select count(*) = 2 from public.schedule"))
        await make_due(house)
        for tenant in (ACME, GLOBEX):
            await until(lambda tenant=tenant: marks(house, tenant=tenant))  # type: ignore[misc]


def test_the_next_time_is_strictly_later() -> None:
    moment = datetime(2024, 2, 29, 3, 17, tzinfo=UTC)
    assert next_after("17 3 * * *", moment) == datetime(2024, 3, 1, 3, 17, tzinfo=UTC)
