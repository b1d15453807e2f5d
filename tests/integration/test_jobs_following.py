"""What a job goes on as, when the transaction that says so is rolled back."""

from __future__ import annotations

from typing import Any

import pytest

from fleetprompt.runtime.jobs import NewJob, Work, claim
from fleetprompt.runtime.jobs.follow import follow_up
from fleetprompt.runtime.registry import JobKind
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
