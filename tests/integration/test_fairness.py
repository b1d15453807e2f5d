"""One tenant's flood, dead endpoint or poison is its own trouble: another's work goes on as if it were alone."""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from bench import fairness as bench
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.tenancy.limits import set_limits
from tests import killing, programs
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import FAST, add, marks, prepare

SLOTS, AT_ONCE = 8, 2
FLOOD = 3_000


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def flood(house: House, lane: str = "null", kind: str = "mark") -> None:
    """Thousands of waiting jobs of acme."""
    await house.rows(
        "insert into public.job (id, tenant, kind, args, lane, position)"
        f" select gen_random_uuid(), 'acme', '{kind}', '{{}}', {lane}, n from generate_series(1, {FLOOD}) n"
    )


async def rounds_until_claimed(house: House) -> list[int]:
    """For each of globex's jobs, one after the other: claims until it was taken, by a worker whose slots are full.

    With each round the two oldest jobs end and two are claimed.
    """
    held: deque[UUID] = deque()

    async def one_round() -> set[str]:
        while len(held) > SLOTS - AT_ONCE:
            await house.rows("delete from public.job where id = $1", held.popleft())
        jobs = await claim.claim(house.database, "w", ["mark"], AT_ONCE, 60.0)
        held.extend(job.id for job in jobs)
        return {job.tenant for job in jobs}

    for _ in range(SLOTS):
        await one_round()
    rounds = []
    for _ in range(15):
        await add(house, NewJob("mark", {}), tenant=GLOBEX)
        count = 1
        while GLOBEX not in await one_round():
            count += 1
        rounds.append(count)
    return rounds


@pytest.mark.parametrize("lane", ["null", "'acme:' || n", "'acme:' || (n % 7)", "'acme:one'"])
async def test_a_flood_delays_no_other_tenants_job_by_a_single_claim(house: House, lane: str) -> None:
    await flood(house, lane)
    rounds = await rounds_until_claimed(house)
    assert statistics.median(rounds) == 1
    assert max(rounds) <= 2


async def test_a_tenant_never_runs_more_jobs_than_its_limit_whoever_claims(house: House) -> None:
    await flood(house)
    await set_limits(house.database, ACME, {"running_jobs": 5})
    for _ in range(4):
        await asyncio.gather(*[claim.claim(house.database, f"w{n}", ["mark"], 4, 60.0) for n in range(6)])
        assert await house.value("select count(*) from public.job where state = 'running'") <= 5
    assert await house.value("select count(*) from public.job where state = 'running'") == 5
    await house.rows(
        "delete from public.job where id in (select id from public.job where state = 'running' limit 2)"
    )
    again = await claim.claim(house.database, "w", ["mark"], 4, 60.0)
    assert len(again) == 2


async def test_a_limited_tenant_leaves_its_slots_to_others(house: House) -> None:
    await flood(house)
    await set_limits(house.database, ACME, {"running_jobs": 1})
    await add(house, *[NewJob("mark", {}) for _ in range(6)], tenant=GLOBEX)
    jobs = [job for _ in range(4) for job in await claim.claim(house.database, "w", ["mark"], 4, 60.0)]
    assert sorted(job.tenant for job in jobs) == ["acme", *["globex"] * 6]


@pytest.mark.parametrize("value", [0, -1, "many", 1001])
async def test_a_limit_that_cannot_be_is_refused(house: House, value: object) -> None:
    with pytest.raises(InvalidInput, match="running_jobs"):
        await set_limits(house.database, ACME, {"running_jobs": value})


async def test_a_poison_job_kills_its_worker_and_anothers_jobs_are_done_all_the_same(house: House) -> None:
    await add(house, NewJob("poison", {}, max_attempts=2))
    await add(house, *[NewJob("mark", {"note": str(n)}) for n in range(20)], tenant=GLOBEX)

    async def over() -> bool:
        done = await marks(house, tenant=GLOBEX)
        dead = await house.value("select count(*) from public.job where state = 'dead'")
        return len(done) == 20 and dead == 1

    deaths = 0
    while not await over():  # as a service manager does: a worker that died is started again
        assert deaths <= 2
        with killing.running(programs.work, house.url, FAST) as process:
            while process.is_alive() and not await over():
                await asyncio.sleep(0.05)
            deaths += not process.is_alive()
    assert deaths == 2  # as many as it had attempts
    assert sorted(await marks(house, tenant=GLOBEX), key=int) == [str(n) for n in range(20)]


async def test_the_bench_measures_each_kind_of_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SILENCE_S", 0.1)
    async with fresh_house() as house:
        figures = await bench.measure(house, flood=3000, turns=2, asked=2, takes_s=0.02)
    assert len(figures) == len(bench.TROUBLE)
    for figure in figures:
        assert figure.value > 0, figure
        assert figure.floor, figure
