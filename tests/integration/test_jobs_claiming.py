"""Which job is claimed, when, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fleetprompt.kernel import clock
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.jobs.claim import Claimed
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add, all_done, marks, prepare, registry_of, until, working


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def take(house: House, limit: int = 10, worker: str = "w", *kinds: str) -> list[str]:
    """Claim; the notes of what was claimed, in the order of their keys."""
    return [str(job.args["note"]) for job in await taken(house, limit, worker, *kinds)]


async def taken(house: House, limit: int = 10, worker: str = "w", *kinds: str) -> list[Claimed]:
    return await claim.claim(house.database, worker, kinds or ("mark",), limit, 30.0)


async def end(house: House, note: str) -> None:
    """As if the job had finished."""
    await house.rows("delete from public.job where args->>'note' = $1", note)


def noted(note: str, **values: object) -> NewJob:
    return NewJob("mark", {"note": note}, **values)  # type: ignore[arg-type]


async def test_a_batch_takes_no_more_than_there_are_slots(house: House) -> None:
    await add(house, *[noted(str(number)) for number in range(5)])
    assert len(await take(house, 3)) == 3
    assert len(await take(house, 3)) == 2
    assert await take(house, 3) == []


async def test_lower_priorities_run_first_then_older_ones(house: House) -> None:
    await add(house, noted("later", priority=10))
    await add(house, noted("first"))
    await add(house, noted("second"))
    await add(house, noted("urgent", priority=-1))
    assert [await take(house, 1) for _ in range(4)] == [["urgent"], ["first"], ["second"], ["later"]]


async def test_a_scheduled_job_waits_for_its_time(house: House) -> None:
    await add(house, noted("later", delay_s=0.3), noted("at", scheduled_at=clock.now() + timedelta(hours=1)))
    assert await take(house) == []
    await asyncio.sleep(0.35)
    assert await take(house) == ["later"]


async def test_a_unique_key_holds_while_the_first_is_unfinished(house: House) -> None:
    await add(house, noted("first", unique_key="once"))
    await add(house, noted("second", unique_key="once"), noted("other"))
    await add(house, noted("globex's", unique_key="once"), tenant=GLOBEX)
    assert sorted(await take(house)) == ["first", "globex's", "other"]
    await add(house, noted("while it runs", unique_key="once"))
    assert await take(house) == []
    await end(house, "first")
    await add(house, noted("third", unique_key="once"))
    assert await take(house) == ["third"]


async def test_kinds_that_nobody_knows_stay_available(house: House) -> None:
    await add(house, NewJob("from.the.future", {"note": "?"}), noted("known"))
    async with working(house, registry_of("mark")):
        await until(lambda: marks(house))
    rows = await house.rows("select kind, state, attempt from public.job")
    assert [tuple(row) for row in rows] == [("from.the.future", "available", 0)]


async def test_a_lane_is_worked_one_by_one_in_order_of_position(house: House) -> None:
    await add(
        house,
        noted("3", lane="l", position=3),
        noted("1", lane="l", position=1),
        noted("2", lane="l", position=2),
    )
    for expected in ("1", "2", "3"):
        assert await take(house) == [expected]
        assert await take(house) == []
        await end(house, expected)


async def test_equal_positions_keep_the_order_of_arrival(house: House) -> None:
    for note in "abc":
        await add(house, noted(note, lane="l"))
    for note in "abc":
        assert await take(house) == [note]
        await end(house, note)


async def test_a_lane_of_one_tenant_holds_up_no_other(house: House) -> None:
    for tenant in (ACME, GLOBEX):
        await add(house, noted(f"{tenant} 1", lane="l"), noted(f"{tenant} 2", lane="l"), tenant=tenant)
    assert sorted(await take(house)) == ["acme 1", "globex 1"]


async def test_a_postponed_head_blocks_its_lane_and_no_other(house: House) -> None:
    await add(
        house, noted("head", lane="l", delay_s=0.3), noted("behind", lane="l", position=1), noted("free")
    )
    assert await take(house) == ["free"]
    await asyncio.sleep(0.35)
    assert await take(house) == ["head"]


async def test_a_job_handed_back_is_again_the_head_of_its_lane(house: House) -> None:
    await add(house, noted("head", lane="l"), noted("behind", lane="l", position=1))
    [job] = await taken(house)
    await claim.postpone(house.database, job.fence("w"), 0.0, "busy", forgive=True)
    assert await take(house) == ["head"]


async def test_a_dead_head_lets_its_lane_go_on(house: House) -> None:
    await add(house, noted("head", lane="l"), noted("behind", lane="l", position=1))
    [job] = await taken(house)
    await claim.die(house.database, job.fence("w"), job.kind, "no")
    assert await take(house) == ["behind"]


async def test_the_carried_claim_is_good_once(house: House) -> None:
    [job_id] = await add(house, noted("carried"))
    won = await asyncio.gather(*[claim.claim_one(house.database, f"w{n}", job_id, 0, 30.0) for n in range(5)])
    assert len([job for job in won if job is not None]) == 1
    assert await claim.claim_one(house.database, "late", job_id, 1, 30.0) is None


async def test_the_carried_claim_waits_for_a_busy_lane(house: House) -> None:
    await add(house, noted("head", lane="l"))
    [second] = await add(house, noted("behind", lane="l", position=1))
    await take(house)
    assert await claim.claim_one(house.database, "w", second, 0, 30.0) is None


async def test_many_claimers_never_share_a_job(house: House) -> None:
    await add(house, *[noted(str(number)) for number in range(200)])
    batches = await asyncio.gather(*[take(house, 20, f"w{number}") for number in range(15)])
    notes = [note for batch in batches for note in batch]
    assert len(notes) == len(set(notes))


async def test_two_workers_keep_hundreds_of_lane_jobs_apart_and_in_order(house: House) -> None:
    lanes, length = 10, 30
    new = [
        NewJob("mark", {"note": f"{lane:02} {number:02}"}, lane=str(lane), position=number)
        for number in range(length)
        for lane in range(lanes)
    ]
    await add(house, *new)
    async with working(house), working(house):
        await until(lambda: all_done(house))
    notes = await marks(house)
    for lane in range(lanes):
        assert [note for note in notes if note.startswith(f"{lane:02}")] == [
            f"{lane:02} {n:02}" for n in range(length)
        ]
    assert await house.tenant_rows(ACME, "select job from marks group by 1 having count(*) > 1") == []


async def test_a_claim_that_crosses_another_in_two_lanes_gets_nothing_this_time(house: House) -> None:
    """A job that arrives late at the head of a lane may be claimed beside the one behind it: a deadlock of two."""
    await add(house, noted("a1", lane="a", position=1))
    [b0] = await add(house, noted("b0", lane="b", position=2))
    other = await house.database.connect_raw()
    try:
        await other.execute("begin; update public.job set state = 'running' where args->>'note' = 'a1'")
        await add(house, noted("b1", lane="b", position=1, priority=-1), noted("a0", lane="a"))
        ours = asyncio.create_task(taken(house))
        await asyncio.sleep(0.3)  # ours holds lane b and waits for lane a
        await other.execute("update public.job set state = 'running' where id = $1", b0)
        assert await ours == []
        await other.execute("rollback")
    finally:
        await other.close()
    assert sorted(await take(house)) == ["a0", "b1"]
