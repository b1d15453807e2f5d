"""Jobs that have been tried very often, and heads of lanes that nobody can run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from fleetprompt.runtime.jobs import NewJob, claim, enqueue
from fleetprompt.runtime.jobs.run import run_job
from fleetprompt.runtime.jobs.sleeper import Sleeper
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.runtime.signals.handle import handle_kind
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add, prepare, registry_of

MANY = 5000  # claims of a job that a rate limit had postponed, forgiven, for hours


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def tried_often(house: House, kind: str) -> None:
    """A job that was claimed many times and has all of its attempts left."""
    await add(house, NewJob(kind, {"note": "often"}))
    await house.rows("update public.job set attempt = $1, max_attempts = $2", MANY, MANY + 8)


async def orphan(house: House) -> None:
    """As if its worker had been killed."""
    await claim.claim(house.database, "gone", ["mark"], 10, 30.0)
    await house.rows("update public.job set lease_until = now() - interval '1 s'")


async def wait_s(house: House) -> float:
    """Until it may be tried again."""
    found = await house.value("select extract(epoch from scheduled_at - now())::float8 from public.job")
    return float(found)


async def test_a_job_that_was_postponed_for_hours_does_not_stop_the_reaper(house: House) -> None:
    await tried_often(house, "mark")
    await add(house, NewJob("mark", {"note": "another"}))
    await orphan(house)
    assert await claim.reap(house.database) == 2


async def test_an_orphan_is_resumed_at_once_however_often_it_was_postponed_before(house: House) -> None:
    await tried_often(house, "mark")
    await orphan(house)
    await claim.reap(house.database)
    assert await wait_s(house) <= 0


async def test_the_first_failure_of_a_job_that_was_postponed_for_hours_waits_a_second(house: House) -> None:
    await tried_often(house, "fail")
    registry = registry_of()
    [job] = await claim.claim(house.database, "w", ["fail"], 1, 30.0)
    assert await run_job(house.tenancy, registry.jobs, "w", job) == "failed"
    assert 0 < await wait_s(house) <= 1


async def test_a_lane_is_free_again_when_its_head_waited_in_vain_for_a_handler(house: House) -> None:
    registry = Registry()
    registry.add_signal("tested", "A test's fact.")
    registry.add_signal("job.died", "A job was given up.")
    registry.add_job(handle_kind(registry))
    async with house.tenancy.session(ACME) as session:
        emitted = await emit(session, registry, NewSignal("tested", {}, SYSTEM))
        args = {"signal_id": str(emitted.id), "handler": "of a removed feature"}
        await enqueue(session, NewJob("signal.handle", args, lane="l"), NewJob("behind", {}, lane="l"))
    outcomes = []
    while "dead" not in outcomes:
        await house.rows("update public.job set scheduled_at = now()")
        [job] = await claim.claim(house.database, "w", ["signal.handle"], 1, 30.0)
        outcomes.append(await run_job(house.tenancy, registry.jobs, "w", job))
    assert 10 <= outcomes.count("postponed") <= 30
    assert "handler" in await house.value("select last_error from public.job where state = 'dead'")
    assert await claim.claim(house.database, "w", ["behind"], 1, 30.0)


async def claimed(house: House, limit: int) -> Counter[str]:
    jobs = await claim.claim(house.database, "w", ["mark"], limit, 30.0)
    return Counter(job.tenant for job in jobs)


async def test_the_tenant_with_the_least_running_comes_first_however_long_the_others_wait(
    house: House,
) -> None:
    await add(house, *[NewJob("mark", {"note": str(number)}) for number in range(40)])
    assert await claimed(house, 8) == {"acme": 8}
    await add(house, *[NewJob("mark", {"note": str(number)}) for number in range(20)], tenant=GLOBEX)
    assert await claimed(house, 4) == {"globex": 4}
    assert await claimed(house, 8) == {"globex": 8}
    assert await claimed(house, 8) == {"acme": 8}
    assert await claimed(house, 10) == {"globex": 8, "acme": 2}


async def test_a_tenant_that_has_nothing_to_claim_holds_up_no_other(house: House) -> None:
    waiting = [NewJob("mark", {}, lane="l", delay_s=60), NewJob("mark", {}, lane="l"), NewJob("unknown", {})]
    await add(house, *waiting, tenant=GLOBEX)
    await add(house, *[NewJob("mark", {"note": str(number)}) for number in range(20)])
    got = sum([await claimed(house, 8) for _ in range(4)], Counter[str]())
    assert got == {"acme": 20}


@pytest.mark.parametrize("column", ["lane", "unique_key"])
async def test_a_tenant_cannot_add_a_job_that_stands_in_anothers_way(house: House, column: str) -> None:
    """A lane or a key of another tenant would hold its jobs up, or keep them out."""
    sql = f"insert into public.job (id, tenant, kind, args, {column}) values (gen_random_uuid(), 'acme', 'mark', '{{}}', $1)"
    await house.tenant_rows(ACME, sql, "acme:mine")
    for foreign in ("globex:conversation:1", "acme", "acme_two:x"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await house.tenant_rows(ACME, sql, foreign)


async def test_who_lies_down_while_a_heartbeat_says_that_it_is_up_says_so_again(house: House) -> None:
    """Else nobody would notify it, and it would sleep until its poll."""
    await house.rows("insert into public.worker (id, idle, host, pid) values ('w', false, '', 0)")
    sleeper, bell = Sleeper(house.database, "w"), asyncio.Event()
    sleeper.bells.append(bell)
    is_idle = sleeper.at_heartbeat()
    assert not is_idle
    assert not await sleeper.lie_down()  # is about to sleep, and says so
    await house.rows("update public.worker set idle = $1", is_idle)  # the heartbeat's statement comes last
    sleeper.beat(idle=is_idle)
    assert bell.is_set()
    assert not await sleeper.lie_down()
    assert await house.value("select idle from public.worker")


async def test_a_heartbeat_that_failed_has_told_nobody_that_we_sleep(house: House) -> None:
    await house.rows("insert into public.worker (id, idle, host, pid) values ('w', false, '', 0)")
    sleeper = Sleeper(house.database, "w")
    sleeper.rested = True
    assert sleeper.at_heartbeat()  # and Postgres is away
    assert not await sleeper.lie_down()
    assert await house.value("select idle from public.worker")
