"""What follows from a job goes on in the same hands: one row, one claim, and blame where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fleetprompt.runtime.jobs import NewJob, Work
from fleetprompt.runtime.jobs.follow import follow_up
from fleetprompt.runtime.jobs.work import Begun
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.tenancy import TenantSession
from tests.house import House, fresh_house
from tests.jobs import add, all_done, mark, marks, prepare, registry_of, until, working

FIRST = NewJob("first", {}, lane="talk", position=1)
SECOND = NewJob("second", {}, lane="talk", position=1, unique_key="second")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as opened:
        await prepare(opened)
        yield opened


class Play:
    """Two kinds of job: `first`, from which `second` follows. begins: how often a second was begun inside a first."""

    def __init__(self, second: NewJob = SECOND, *, can_begin: bool = False) -> None:
        self.second, self.can_begin = second, can_begin
        self.begins = self.runs = 0
        self.fails_at_begin = self.fails_at_run = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def registry(self) -> Registry:
        registry = registry_of("job.died")
        registry.add_job(JobKind("first", self._first))
        begin = self._begin if self.can_begin else None
        registry.add_job(JobKind("second", self._second, None, begin))
        return registry

    async def _first(self, work: Work) -> None:
        async with work.step() as session:
            await mark(session, work, "first")
            await follow_up(session, self.second)
            await work.conclude(session)

    async def _begin(self, work: Work, session: TenantSession) -> Begun:
        self.begins += 1
        await mark(session, work, "begun")
        if self.begins <= self.fails_at_begin:
            raise ValueError("broken")

        async def rest() -> None:
            await self._second(work)

        return Begun(rest)

    async def _second(self, work: Work) -> None:
        self.runs += 1
        await self.gate.wait()
        if self.runs <= self.fails_at_run:
            raise ValueError("broken")
        async with work.finish() as session:
            await mark(session, work, "second")


async def trail(house: House) -> list[tuple[str, int]]:
    """(note, attempt) of each mark, in order; all of one job."""
    rows = await house.tenant_rows("acme", "select note, attempt, job from marks order by n")  # type: ignore[arg-type]
    assert len({row["job"] for row in rows}) == 1
    return [(row["note"], row["attempt"]) for row in rows]


async def test_a_follower_runs_under_the_same_claim(house: House) -> None:
    await add(house, FIRST)
    async with working(house, Play().registry()):
        await until(lambda: all_done(house))
    assert await trail(house) == [("first", 1), ("second", 1)]


async def test_a_follower_begins_in_the_transaction_that_asked_for_it(house: House) -> None:
    await add(house, FIRST)
    async with working(house, Play(can_begin=True).registry()):
        await until(lambda: all_done(house))
    assert await trail(house) == [("first", 1), ("begun", 1), ("second", 1)]
    same = "select count(distinct xmin::text) = 1 from marks where note <> 'second'"
    assert (await house.tenant_rows("acme", same))[0][0]  # type: ignore[arg-type]


async def test_a_beginning_that_breaks_takes_its_asker_along_once_and_then_stands_alone(house: House) -> None:
    await add(house, FIRST)
    play = Play(can_begin=True)
    play.fails_at_begin = 1
    async with working(house, play.registry()):
        await until(lambda: all_done(house))
    assert await trail(house) == [("first", 2), ("second", 2)]  # of the first try nothing stands


async def test_a_followers_failures_are_its_own(house: House) -> None:
    """It gets all of its tries, and the dead letter is of its kind."""
    await add(house, NewJob("first", {}, lane="talk", position=1, max_attempts=1))
    play = Play(NewJob("second", {}, lane="talk", position=1, max_attempts=1))
    play.fails_at_run = 9
    async with working(house, play.registry()):
        await until(lambda: house.value("select count(*) from public.job where state = 'dead'"))
        await until(lambda: marks(house, "died%"))
    assert await house.value("select kind from public.job where state = 'dead'") == "second"
    assert await marks(house) == ["first", "died second: ValueError"]


async def test_in_another_lane_it_is_a_job_of_its_own(house: House) -> None:
    await add(house, FIRST)
    play = Play(NewJob("second", {}, lane="elsewhere"), can_begin=True)
    async with working(house, play.registry()):
        await until(lambda: all_done(house))
    assert await marks(house) == ["first", "second"]
    assert play.begins == 0


async def test_a_kind_that_is_not_known_here_waits_for_a_worker_that_knows_it(house: House) -> None:
    await add(house, FIRST)
    registry = Play(NewJob("third", {}, lane="talk", position=1)).registry()
    async with working(house, registry):
        await until(lambda: marks(house, "first"))
        await until(lambda: house.value("select kind = 'third' and state = 'available' from public.job"))


async def test_a_worker_that_stops_hands_the_follower_back(house: House) -> None:
    await add(house, FIRST)
    play = Play()
    play.gate.clear()
    async with working(house, play.registry(), shutdown_grace_s=0.1):
        await until(lambda: _true(play.runs == 1))
    assert await house.value("select kind || ' ' || state from public.job") == "second available"
    async with working(house, Play().registry()):
        await until(lambda: all_done(house))
    assert await trail(house) == [("first", 1), ("second", 2)]


async def test_later_ones_of_the_lane_wait_for_the_follower(house: House) -> None:
    await add(house, FIRST, NewJob("mark", {"note": "later"}, lane="talk", position=2))
    play, registry = Play(), registry_of("mark")
    play.gate.clear()
    for kind in play.registry().jobs.values():
        registry.add_job(kind)
    async with working(house, registry):
        await until(lambda: _true(play.runs == 1))
        await asyncio.sleep(0.3)
        assert await marks(house) == ["first"]
        play.gate.set()
        await until(lambda: all_done(house))
    assert await marks(house) == ["first", "second", "later"]


async def _true(value: bool) -> bool:
    return value
