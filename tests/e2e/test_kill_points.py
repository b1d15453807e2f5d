"""kill -9 between any two steps of a run: the service dies there, is started again, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio

import pytest

from fleetprompt.model.states import fault_point
from tests import killing, serving
from tests.house import ACME
from tests.town import Town, town

MOVES = [
    ("execution", "queued", "running"),
    ("execution", "running", "waiting"),
    ("execution", "waiting", "running"),
    ("execution", "running", "succeeded"),
    ("directive", "requested", "running"),
    ("directive", "running", "succeeded"),
    ("effect", "planned", "sending"),
    ("effect", "sending", "sent"),
]
POINTS = [
    "ingest.before_commit",
    "ingest.committed",
    "ingest.acked",
    "job.claimed",
    "job.claimed:2",
    "job.claimed:4",
    "job.finished",
    "job.finished:3",
    "job.goes_on",
    "job.goes_on:2",
    "job.goes_on:4",
    "execution.model_called",
    "execution.model_called:2",
    "execution.recorded",
    "execution.tool_ran",
    "effect.recorded_sending",
    "effect.recorded_sending:2",
    "effect.performed",
    "effect.performed:2",
    *(fault_point(*move, committed=done) for move in MOVES for done in (False, True)),
]


@pytest.mark.parametrize("point", POINTS)
async def test_a_death_there_loses_and_doubles_nothing(point: str) -> None:
    async with town() as play:
        before = await _until_it_dies(play, point)
        missed = play.ask("@fleet where is order 1234?")
        with killing.running(serving.serve, play.house.url, play.desk.url):
            await play.answered(*before, missed)
            await play.settled()
        _nothing_lost_or_doubled(play, *before, missed)
        await _everything_is_over(play)


async def _until_it_dies(play: Town, point: str) -> list[str]:
    with killing.running(serving.serve, play.house.url, play.desk.url, fault=point) as process:
        asked = play.ask("@fleet please hold order 1042 because the customer moved")
        other = play.ask("@fleet where is order 1234?")
        assert await killing.ended(process) == -9, f"it never reached {point}"
    return [asked, other]


def _nothing_lost_or_doubled(play: Town, *roots: str) -> None:
    assert [len(play.answers(root)) for root in roots] == [1] * len(roots)
    assert play.doubled() == []
    assert [hold.number for hold in play.desk.ledger] == ["1042"]


async def _everything_is_over(play: Town) -> None:
    for table in ("executions", "directives"):
        states = await play.house.tenant_rows(ACME, f"select distinct state from {table}")
        assert {row[0] for row in states} == {"succeeded"}, table
    await asyncio.sleep(0)
