"""What the doctor says of the broker, and of jobs that no running worker knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetprompt.runtime.jobs import NewJob
from tests.carrying import broker_of
from tests.command_line import CommandLine, Said
from tests.house import GLOBEX, fresh_house
from tests.jobs import add

ENLIST = (
    "insert into public.worker (id, idle, host, pid, slots, kinds) values ('w', false, '', 0, 8, '{known}')"
)


def found(said: Said, check: str) -> dict[str, Any]:
    [row] = [row for row in said.rows if row["check"] == check]
    return dict(row)


async def test_jobs_that_no_running_worker_knows_are_reported_with_what_waits_behind_them() -> None:
    async with fresh_house() as house:
        await house.rows(ENLIST)
        await add(
            house,
            NewJob("unheard.of", {}, lane="a"),
            NewJob("known", {}, lane="a", position=1),
            NewJob("known", {}, lane="a", position=2),
            NewJob("known", {}),
            tenant=GLOBEX,
        )
        row = found(await CommandLine.on(house.url).ok("doctor", "--json"), "job kinds")
        assert (row["level"], row["org"]) == ("warn", "globex")
        assert (
            row["detail"]
            == "1 job of a kind that no running worker knows: unheard.of; 2 jobs behind in the same lanes"
        )
        assert "fleetprompt worker" in row["remedy"]


@pytest.mark.parametrize("scheme", ["nats", "amqp", "redis"])
async def test_a_broker_that_is_away_is_said_without_its_password(scheme: str) -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_BROKER_URL=f"{scheme}://me:hunter2secret@127.0.0.1:1")
        said = await run.ok("doctor", "--json")
        row = found(said, "broker")
        assert (row["level"], "cannot be used" in row["detail"]) == ("warn", True)
        assert "FLEETPROMPT_BROKER_URL" in row["remedy"]
        assert "hunter2secret" not in said.out + said.err


async def test_a_broker_that_answers_is_named(tmp_path: Path) -> None:
    async with fresh_house() as house, broker_of("redis", tmp_path / "broker") as server:
        run = CommandLine.on(house.url, FLEETPROMPT_BROKER_URL=server.url)
        row = found(await run.ok("doctor", "--json"), "broker")
        assert (row["level"], row["detail"]) == ("ok", "Redis carries the jobs")
