"""What a job goes on as, when the transaction that says so is rolled back, or nobody knows; and what follows from what follows."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from fleetprompt.runtime.jobs import NewJob, Work, claim
from fleetprompt.runtime.jobs.follow import follow_up
from fleetprompt.runtime.jobs.work import Begun
from fleetprompt.runtime.registry import JobKind
from fleetprompt.tenancy import TenantSession
from tests.house import fresh_house
from tests.jobs import add, all_done, mark, marks, prepare, registry_of, until, working


async def test_a_job_whose_last_commit_failed_does_not_go_on_but_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its successor, which finds nothing of what was rolled back, would end the row that both share.

    With Postgres away the failure cannot be noted either, so the claim still holds.
    """
    failures = ["Postgres went away"]

    async def cannot(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(claim, "postpone", cannot)

    async def first(work: Work) -> None:
        async with work.step() as session:
            await mark(session, work, "first")
            await follow_up(session, NewJob("second", {}, lane=work.lane))
            await work.conclude(session)
            if failures:
                raise ConnectionResetError(failures.pop())

    async def second(work: Work) -> None:
        async with work.finish() as session:
            await mark(session, work, "second")

    registry = registry_of("mark")
    for kind in (JobKind("first", first), JobKind("second", second)):
        registry.add_job(kind)
    async with fresh_house() as house:
        await prepare(house)
        await add(house, NewJob("first", {}))
        async with working(house, registry):
            await until(lambda: all_done(house))
        assert await marks(house) == ["first", "second"]


async def _first(work: Work) -> None:
    async with work.step() as session:
        await mark(session, work, "first")
        await follow_up(session, NewJob("second", {}, lane="talk"))
        await work.conclude(session)


async def _second(work: Work) -> None:
    async with work.finish() as session:
        await mark(session, work, "second")


async def test_a_last_commit_of_which_nobody_heard_does_not_bury_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was the first's last attempt, and it was its commit: the row is the second's now."""
    unheard = ["The connection broke before the answer came"]
    real = Work._conclude

    def conclude(work: Work, session: TenantSession) -> None:
        if unheard:
            raise ConnectionResetError(unheard.pop())
        real(work, session)

    monkeypatch.setattr(Work, "_conclude", conclude)
    registry = registry_of("mark", "job.died")
    for kind in (JobKind("first", _first), JobKind("second", _second)):
        registry.add_job(kind)
    async with fresh_house() as house:
        await prepare(house)
        await add(house, NewJob("first", {}, lane="talk", max_attempts=1))
        async with working(house, registry):
            await until(lambda: all_done(house))
        assert await marks(house) == ["first", "second"]


async def test_what_follows_from_a_beginning_that_goes_on_is_a_job_of_its_own() -> None:
    async def begin(work: Work, session: TenantSession) -> Begun:
        await follow_up(session, NewJob("mark", {"note": "third"}, lane="talk"))

        async def rest() -> None:
            await _second(work)

        return Begun(rest)

    registry = registry_of("mark")
    for kind in (JobKind("first", _first), JobKind("second", _second, None, begin)):
        registry.add_job(kind)
    async with fresh_house() as house:
        await prepare(house)
        await add(house, NewJob("first", {}, lane="talk"))
        async with working(house, registry):
            await until(lambda: all_done(house))
        assert await marks(house) == ["first", "second", "third"]


async def test_nothing_of_what_runs_for_a_user_begins_before_they_are_known_to_be_a_member() -> None:
    async def first(work: Work) -> None:
        async with work.step() as session:
            await follow_up(session, NewJob("second", {"user_id": str(uuid4())}, lane=work.lane))
            await work.conclude(session)

    async def begin(work: Work, session: TenantSession) -> Begun:
        await mark(session, work, "begun")
        return Begun(None)

    registry = registry_of("job.died")
    for kind in (JobKind("first", first), JobKind("second", _second, None, begin)):
        registry.add_job(kind)
    async with fresh_house() as house:
        await prepare(house)
        await add(house, NewJob("first", {}))
        async with working(house, registry):
            await until(lambda: marks(house, "died second%"))
        assert await marks(house, "begun") == []
