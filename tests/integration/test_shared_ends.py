"""Jobs that have nothing more to write end together, each by its own claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.jobs.ends import Ends
from fleetprompt.tenancy import Fence
from tests.house import House, fresh_house
from tests.jobs import add


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


async def claimed(house: House, count: int) -> list[Fence]:
    await add(house, *[NewJob("mark", {}) for _ in range(count)])
    return [job.fence("w") for job in await claim.claim(house.database, "w", ["mark"], count, 30.0)]


async def test_each_is_told_whether_its_own_claim_still_held(house: House) -> None:
    held = await claimed(house, 20)
    lost = [held[3], held[17]]
    await house.rows(
        "update public.job set attempt = attempt + 1 where id = any($1)", [fence.job_id for fence in lost]
    )
    ends = Ends(house.database)
    ended = await asyncio.gather(*[ends.end(fence) for fence in held])
    assert [fence for fence, held_until_then in zip(held, ended, strict=True) if not held_until_then] == lost
    assert await house.value("select count(*) from public.job") == len(lost)


async def test_those_that_come_during_a_commit_share_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, batches, real = await claimed(house, 20), list[int](), claim.end

    async def counted(database: object, fences: list[Fence]) -> set[Fence]:
        batches.append(len(fences))
        return await real(house.database, fences)

    monkeypatch.setattr(claim, "end", counted)
    ends = Ends(house.database)
    first = asyncio.create_task(ends.end(held[0]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(await asyncio.gather(first, *[ends.end(fence) for fence in held[1:]]))
    assert batches == [1, 19]


async def test_a_database_that_is_away_is_told_to_each_and_the_next_try_works(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, real = await claimed(house, 3), claim.end

    async def away(*_: object) -> set[Fence]:
        raise ConnectionResetError

    ends = Ends(house.database)
    monkeypatch.setattr(claim, "end", away)
    outcomes = await asyncio.gather(*[ends.end(fence) for fence in held], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionResetError] * 3
    monkeypatch.setattr(claim, "end", real)
    assert await ends.end(held[0])


async def test_a_job_that_is_cancelled_meanwhile_keeps_nobody_else_from_ending(house: House) -> None:
    held = await claimed(house, 2)
    ends = Ends(house.database)
    tasks = [asyncio.create_task(ends.end(fence)) for fence in held]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await tasks[1]
    await ends.settle()
    assert await house.value("select count(*) from public.job") == 0
