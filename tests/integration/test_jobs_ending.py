"""How a job ends: done, postponed, failed, dead; and what an operator does with dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import JobId, new_id
from fleetprompt.runtime.jobs import NewJob, Work, claim
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.runtime.jobs.letters import discard_job, find_job, list_jobs, retry_job
from fleetprompt.runtime.jobs.run import backoff_s, run_job
from fleetprompt.runtime.registry import JobKind, Registry
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import KINDS, add, all_done, marks, prepare, registry_of, until, working


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def claim_next(house: House) -> Claimed:
    """The next job, for worker w."""
    [job] = await claim.claim(house.database, "w", [*KINDS, "custom"], 1, 30.0)
    return job


async def run_next(house: House, registry: Registry | None = None) -> str:
    """Claim the next job and run it; its outcome."""
    return await run_job(house.tenancy, (registry or registry_of()).jobs, "w", await claim_next(house))


async def the_job(house: House) -> dict[str, Any]:
    [row] = await house.rows(
        "select *, extract(epoch from scheduled_at - now())::float8 as in_s from public.job where kind <> 'job.died'"
    )
    return dict(row)


async def bury(house: House, kind: str = "fail", **values: Any) -> JobId:
    """A dead letter."""
    [job_id] = await add(house, NewJob(kind, {}, max_attempts=1, **values))
    assert await run_next(house) == "dead"
    return job_id


async def test_a_finished_job_is_gone_with_the_commit_of_its_work(house: House) -> None:
    await add(house, NewJob("mark", {}))
    assert await run_next(house) == "finished"
    assert await all_done(house)
    assert await marks(house) == ["done"]


async def test_a_job_that_finishes_nothing_itself_is_finished_for_it(house: House) -> None:
    async def nothing(work: Work) -> None:
        pass

    registry = Registry()
    registry.add_job(JobKind("custom", nothing))
    await add(house, NewJob("custom", {}))
    assert await run_next(house, registry) == "finished"
    assert await all_done(house)


async def test_a_failure_is_tried_again_later_and_says_no_more_than_its_class(house: House) -> None:
    await add(house, NewJob("fail", {}))
    assert await run_next(house) == "failed"
    job = await the_job(house)
    assert (job["state"], job["attempt"], job["max_attempts"]) == ("available", 1, 8)
    assert (job["last_error"], job["worker"], job["lease_until"]) == ("ValueError", None, None)
    assert 0.3 < job["in_s"] <= 1.0


def test_the_backoff_grows_and_ends_at_five_minutes() -> None:
    for attempt in range(1, 30):
        longest = min(300.0, 2.0 ** (attempt - 1))
        assert longest / 2 <= backoff_s(attempt) <= longest


async def test_a_failed_transaction_is_undone_with_the_jobs_end(house: House) -> None:
    async def half(work: Work) -> None:
        async with work.finish() as session:
            await session.execute(text("insert into marks (note) values ('half')"))
            raise RuntimeError

    registry = Registry()
    registry.add_job(JobKind("custom", half))
    await add(house, NewJob("custom", {}))
    assert await run_next(house, registry) == "failed"
    assert await marks(house) == []
    assert (await the_job(house))["state"] == "available"


async def test_an_argument_that_the_driver_refuses_is_a_failure_and_not_an_absent_database(
    house: House,
) -> None:
    async def wrong(work: Work) -> None:
        async with work.step() as session:
            await session.execute(text("select cast(:n as int)"), {"n": "seven"})

    registry = Registry()
    registry.add_job(JobKind("custom", wrong))
    await add(house, NewJob("custom", {}))
    assert await run_next(house, registry) == "failed"
    assert (await the_job(house))["last_error"] == "DataError"


@pytest.mark.parametrize(
    ("error", "said"), [(TimeoutError(), "timed out"), (FileNotFoundError("/etc/x"), "FileNotFoundError")]
)
async def test_a_jobs_own_trouble_with_the_system_is_not_an_absent_database(
    house: House, error: Exception, said: str
) -> None:
    async def trouble(work: Work) -> None:
        raise error

    registry = Registry()
    registry.add_job(JobKind("custom", trouble))
    await add(house, NewJob("custom", {}))
    assert await run_next(house, registry) == "failed"
    assert (await the_job(house))["last_error"] == said


async def test_a_failure_that_cannot_be_recorded_is_left_to_the_reaper(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(claim, "postpone", away)
    await add(house, NewJob("fail", {}))
    assert await run_next(house) == "database_away"
    assert (await the_job(house))["state"] == "running"


async def test_postponing_costs_no_attempt(house: House) -> None:
    await add(house, NewJob("postpone", {"times": 5}, max_attempts=2))
    async with working(house):
        await until(lambda: all_done(house))
    assert await marks(house) == ["postponed"] * 5 + ["done"]


async def test_the_last_failure_makes_a_dead_letter_and_tells_who_waits(house: House) -> None:
    job_id = await bury(house, correlation_id=new_id())
    job = await the_job(house)
    assert (job["id"], job["state"], job["last_error"]) == (job_id, "dead", "ValueError")
    assert job["finished_at"] is not None
    [notice] = await house.rows("select tenant, args, correlation_id from public.job where kind = 'job.died'")
    assert (notice["tenant"], notice["correlation_id"]) == ("acme", job["correlation_id"])
    assert await run_next(house) == "finished"
    assert await marks(house) == ["died fail: ValueError"]


async def test_the_death_of_a_notice_is_told_to_nobody(house: House) -> None:
    await bury(house)
    await house.rows("update public.job set max_attempts = 1 where kind = 'job.died'")
    registry = Registry()
    registry.add_job(JobKind("job.died", KINDS["fail"]))
    assert await run_next(house, registry) == "dead"
    assert await house.value("select count(*) from public.job where kind = 'job.died'") == 1


async def test_each_death_of_a_retried_job_is_told(house: House) -> None:
    job_id = await bury(house)
    for _ in range(2):
        assert await run_next(house) == "finished"  # the notice
        await retry_job(house.database, ACME, job_id)
        await house.rows("update public.job set max_attempts = attempt + 1 where id = $1", job_id)
        assert await run_next(house) == "dead"
    assert await run_next(house) == "finished"
    assert await marks(house) == ["died fail: ValueError"] * 3


async def test_a_retried_letter_gets_a_new_round_of_attempts(house: House) -> None:
    job_id = await bury(house)
    await retry_job(house.database, ACME, job_id)
    job = await the_job(house)
    assert (job["state"], job["attempt"], job["max_attempts"], job["finished_at"]) == (
        "available",
        1,
        9,
        None,
    )
    with pytest.raises(Conflict, match="is not dead"):
        await retry_job(house.database, ACME, job_id)
    with pytest.raises(Conflict, match="is not dead"):
        await discard_job(house.database, ACME, job_id)


async def test_a_discarded_letter_is_gone(house: House) -> None:
    job_id = await bury(house)
    await discard_job(house.database, ACME, job_id)
    with pytest.raises(NotFound):
        await find_job(house.database, ACME, job_id)


async def test_an_operator_sees_one_tenants_jobs_and_touches_no_others(house: House) -> None:
    job_id = await bury(house)
    await add(house, NewJob("mark", {}), tenant=GLOBEX)
    assert [job.id for job in await list_jobs(house.database, ACME, state="dead")] == [job_id]
    assert [job.kind for job in await list_jobs(house.database, GLOBEX)] == ["mark"]
    for touch in (find_job, retry_job, discard_job):
        with pytest.raises(NotFound, match="in 'globex'"):
            await touch(house.database, GLOBEX, job_id)


async def test_a_dead_letter_keeps_nobody_from_asking_again(house: House) -> None:
    await bury(house, unique_key="once")
    await add(house, NewJob("mark", {}, unique_key="once"))
    async with working(house):
        await until(lambda: marks(house, "done"))


async def test_a_letter_whose_work_was_asked_for_again_is_not_revived_beside_it(house: House) -> None:
    job_id = await bury(house, unique_key="once")
    await add(house, NewJob("mark", {}, unique_key="once"))
    with pytest.raises(Conflict, match="was asked for again"):
        await retry_job(house.database, ACME, job_id)
    assert (await find_job(house.database, ACME, job_id)).state == "dead"


async def test_a_lost_claim_changes_nothing(house: House) -> None:
    await add(house, NewJob("mark", {}))
    job = await claim_next(house)
    await house.rows("update public.job set worker = 'another', attempt = 2")
    assert await run_job(house.tenancy, registry_of().jobs, "w", job) == "fenced"
    for end in (
        claim.die(house.database, job.fence("w"), job.kind, "x"),
        claim.release(house.database, "w", [job.fence("w")]),
    ):
        await end
    await claim.postpone(house.database, job.fence("w"), 0, "x", forgive=False)
    assert await claim.heartbeat(house.database, "w", [job.fence("w")], 30.0) == set()
    row = await the_job(house)
    assert (row["state"], row["worker"], row["attempt"]) == ("running", "another", 2)
    assert await marks(house) == []
