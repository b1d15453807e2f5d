"""What is handed out, and what the claim on arrival refuses: order in lanes, shares of tenants, kinds, losses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.jobs.dispatch import accept, dispatch, hand_back
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add

KINDS = ["mark", "slow"]
ENLIST = "insert into public.worker (id, idle, host, pid, slots, kinds) values ($1, false, '', 0, $2, $3)"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


async def enlist(house: House, name: str = "w", slots: int = 8, kinds: list[str] = KINDS) -> None:
    await house.rows(ENLIST, name, slots, kinds)


async def handed_out(house: House, limit: int = 100) -> dict[UUID, int]:
    return dict((await dispatch(house.database, limit, 30.0)).jobs)


async def claimed(house: House, carried: dict[UUID, int], worker: str = "w") -> list[UUID]:
    return [job.id for job in await accept(house.database, worker, KINDS, carried, 30.0)]


async def states(house: House) -> list[str]:
    return [row[0] for row in await house.rows("select state from public.job order by id")]


async def test_only_heads_of_lanes_are_handed_out_and_one_message_claims_once(house: House) -> None:
    await enlist(house)
    first, second, free = await add(
        house, NewJob("mark", {}, lane="a"), NewJob("mark", {}, lane="a", position=1), NewJob("mark", {})
    )
    carried = await handed_out(house)
    assert carried == {first: 0, free: 0}
    assert await handed_out(house) == {}
    assert sorted(await claimed(house, carried)) == sorted([first, free])
    assert await claimed(house, carried) == []
    assert await claimed(house, {second: 0}) == []
    assert await states(house) == ["running", "available", "running"]


async def test_of_many_copies_at_once_one_claims(house: House) -> None:
    await enlist(house, slots=40)
    await add(house, *[NewJob("mark", {}, lane=str(n % 5), position=n) for n in range(20)])
    carried = await handed_out(house)
    won = await asyncio.gather(*[claimed(house, carried, f"w{n}") for n in range(8)])
    assert sorted(job for one in won for job in one) == sorted(carried)


async def test_a_job_that_belongs_before_one_that_is_under_way_comes_first(house: House) -> None:
    await enlist(house)
    [late] = await add(house, NewJob("mark", {}, lane="a", position=10))
    carried = await handed_out(house)
    [early] = await add(house, NewJob("mark", {}, lane="a", position=5))
    assert await claimed(house, carried) == []
    await hand_back(house.database, KINDS, carried)
    assert await handed_out(house) == {early: 0}
    assert await claimed(house, {early: 0, late: 0}) == [early]


async def test_a_message_that_was_never_sent_claims_nothing_out_of_turn(house: House) -> None:
    await enlist(house)
    first, second, later = await add(
        house,
        NewJob("mark", {}, lane="a"),
        NewJob("mark", {}, lane="a", position=1),
        NewJob("mark", {}, delay_s=60),
    )
    assert await claimed(house, {second: 0, later: 0, first: 7}) == []
    assert await states(house) == ["available"] * 3


async def test_all_workers_together_bound_what_is_under_way_and_a_tenant_gets_three_quarters(
    house: House,
) -> None:
    await enlist(house, slots=8)
    await add(house, *[NewJob("mark", {}) for _ in range(50)])
    for _ in range(20):
        await dispatch(house.database, 2, 30.0)
    assert (await states(house)).count("dispatched") == 6
    others = await add(house, *[NewJob("mark", {}) for _ in range(50)], tenant=GLOBEX)
    assert set(await handed_out(house)) <= set(others)
    assert (await states(house)).count("dispatched") == 8
    assert (await dispatch(house.database, 100, 30.0)).is_full


async def test_kinds_that_no_living_worker_knows_stay_where_they_are(house: House) -> None:
    await add(house, NewJob("mark", {}), NewJob("tomorrow", {}))
    assert await handed_out(house) == {}
    await enlist(house, "new", kinds=["tomorrow"])
    await house.rows("update public.worker set seen_at = now() - interval '1 minute'")
    assert await handed_out(house) == {}
    await enlist(house, "old")
    assert len(await handed_out(house)) == 1
    assert await states(house) == ["dispatched", "available"]


async def test_for_a_worker_whose_lease_would_be_over_nothing_is_handed_out(house: House) -> None:
    await enlist(house, "killed", slots=100)
    await house.rows("update public.worker set seen_at = now() - interval '7 s'")
    await enlist(house, "alive", slots=4)
    await add(house, *[NewJob("mark", {}) for _ in range(50)])
    assert len((await dispatch(house.database, 100, 6.0)).jobs) == 4


async def test_a_kind_that_came_to_the_wrong_worker_rests_and_loses_no_attempt(house: House) -> None:
    await enlist(house, kinds=["tomorrow"])
    [job] = await add(house, NewJob("tomorrow", {}))
    carried = await handed_out(house)
    assert await claimed(house, carried) == []
    await hand_back(house.database, KINDS, carried)
    row = (
        await house.rows(
            "select state, attempt, lease_until - now() as rest from public.job where id = $1", job
        )
    )[0]
    assert (row["state"], row["attempt"]) == ("dispatched", 0)
    assert 0 < row["rest"].total_seconds() <= 1.0


async def test_what_was_lost_is_handed_out_again_after_its_lease(house: House) -> None:
    await enlist(house)
    await add(house, NewJob("mark", {}))
    carried = await handed_out(house)
    await house.rows("update public.job set lease_until = now() - interval '1 ms'")
    assert await claim.take_back(house.database) == 1
    assert await handed_out(house) == carried
    assert await claim.take_back(house.database) == 0


async def test_a_suspended_tenants_jobs_are_neither_handed_out_nor_claimed(house: House) -> None:
    await enlist(house)
    await add(house, NewJob("mark", {}), NewJob("mark", {}))
    carried = dict((await dispatch(house.database, 1, 30.0)).jobs)
    await house.rows("update public.organizations set state = 'suspended' where slug = $1", ACME)
    assert await handed_out(house) == {}
    assert await claimed(house, carried) == []
    await hand_back(house.database, KINDS, carried)
    await house.rows("update public.organizations set state = 'active' where slug = $1", ACME)
    assert len(await handed_out(house)) == 2


async def test_dispatchers_side_by_side_hand_each_job_out_once(house: House) -> None:
    await enlist(house, slots=1000)
    await add(house, *[NewJob("mark", {}, lane=str(n)) for n in range(100)])
    handed: list[UUID] = []
    while found := await asyncio.gather(*[dispatch(house.database, 10, 30.0) for _ in range(10)]):
        handed += [job for one in found for job in one.jobs]
        if not any(one.jobs for one in found):
            break
    assert len(handed) == len(set(handed)) == 100
