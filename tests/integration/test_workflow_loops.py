"""What keeps workflows within bounds: depth, the organization's limit, time, and the tenant's own walls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fleetprompt.runtime import retention
from fleetprompt.runtime.jobs import NewJob
from fleetprompt.runtime.signals import retention as signal_retention
from fleetprompt.runtime.signals.retention import retention_days
from fleetprompt.runtime.trace import Node, find_trace, walk
from fleetprompt.runtime.trace_text import trace_lines
from fleetprompt.tenancy.limits import set_limits
from tests.house import ACME, House
from tests.jobs import add as add_job
from tests.workflow_scenes import AGENT, ODD, post
from tests.workflows import THING, Desk, desk

FIRST = post("first", "{{signal.payload.text}}")
AGAIN: dict[str, Any] = {"name": "again", "emit": THING, "payload": {"text": "again"}}
LOOP = "workflow.loop.stopped"


async def test_a_workflow_that_starts_itself_is_stopped_three_deep_and_says_so_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST, AGAIN)
        first = await at.happens(text="a")
        await at.run()
        assert [run.depth for run in await at.runs()] == [1, 2, 3]
        assert len(at.far.done()) == 3
        [stopped] = await at.told(LOOP)
        assert (stopped["workflow"], stopped["signal"], stopped["depth"]) == ("follow", THING, 3)
        await at.replayed(first)
        last = await at.house.tenant_rows(
            ACME, "select id from signals where name = $1 order by id desc", THING
        )
        await at.replayed(last[0][0])
        assert (len(await at.runs()), len(await at.told(LOOP))) == (3, 1)


PLAIN = {"name": "ask", "agent": "fleet", "input": "help"}


@pytest.mark.parametrize(
    ("step", "signal"), [(post("p", "x"), "directive.succeeded"), (PLAIN, "agent.execution.succeeded")]
)
async def test_what_a_run_has_others_do_belongs_to_the_chain(
    step: dict[str, Any], signal: str, tmp_path: Path
) -> None:
    async with desk(tmp_path) as at:
        await at.add(step, name="loop", on=signal)
        await at.add(step, name="start")
        await at.happens(text="a")
        await at.run()
        assert [run.depth for run in await at.runs()] == [1, 1, 2, 3]
        assert len(await at.told(LOOP)) == 1


async def test_two_workflows_that_hear_all_about_each_other_come_to_an_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(AGAIN, name="one", on="workflow.run.started")
        await at.add(ODD, name="two", on="workflow.loop.*")
        await at.add(ODD, name="three", on=THING)
        await at.happens(text="a")
        await at.run()
        runs = await at.runs()
        assert {run.state for run in runs} == {"succeeded"}
        assert max(run.depth for run in runs) == 3
        assert await at.told(LOOP) != []


async def test_signals_of_one_chain_that_no_run_led_to_each_start_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(*(post(f"p{number}", "x") for number in range(5)), name="many")
        await at.add(ODD, name="each", on="directive.succeeded")
        await at.happens(text="a")
        await at.run()
        assert len(await at.runs()) == 6
        assert await at.told(LOOP) == []


async def test_beyond_the_organizations_limit_nothing_starts_until_it_is_replayed(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST)
        await set_limits(at.house.database, ACME, {"runs_per_hour": 2})
        ids = [await at.happens(text=str(number)) for number in range(5)]
        await at.run()
        assert len(await at.runs()) == 2
        [refused] = await at.told("workflow.run.refused")
        assert refused["error_code"] == "limit_runs"
        await set_limits(at.house.database, ACME, {"runs_per_hour": 100})
        await at.replayed(*ids)
        assert len(await at.runs()) == len(at.far.done()) == 5


async def test_an_agent_beyond_the_limit_fails_its_step(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(AGENT)
        await set_limits(at.house.database, ACME, {"runs_per_hour": 1})
        await at.happens(text="a")
        await at.run()
        assert (await at.the_run()).error_code == "limit_runs"


async def test_a_trace_shows_the_run_and_its_steps_between_signal_and_directives(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        tell = {"name": "tell", "emit": "tenant.thing.told"}
        await at.add(FIRST, ODD, AGENT, tell)
        signal_id = await at.happens(text="a")
        await at.run()
        run = await at.the_run()
        steps = await at.steps(run)
        for wanted in (signal_id, run.id, steps[0].id, steps[0].directive_id):
            found = await find_trace(at.house.tenancy, ACME, str(wanted))
            [root] = found.roots
            [node] = [child for child in root.children if child.kind == "workflow_run"]
            assert (root.id, node.id, node.name, node.state) == (signal_id, run.id, "follow", "succeeded")
        children = [child for child in node.children if child.kind == "workflow_step"]
        assert [(child.name, child.state) for child in children] == [
            ("first", "succeeded"), ("odd", "skipped"), ("ask", "succeeded"), ("tell", "succeeded"),
        ]  # fmt: skip
        assert [kinds(child) for child in children] == [["directive"], [], ["execution"], ["signal"]]
        assert len({one.id for one in walk(found.roots)}) == len(list(walk(found.roots)))
        text_of = "\n".join(trace_lines(found))
        assert "workflow follow  succeeded" in text_of
        assert "step first  succeeded" in text_of


def kinds(node: Node) -> list[str]:
    return [child.kind for child in node.children]


async def test_a_failure_is_said_in_the_trace(tmp_path: Path) -> None:
    async with desk(tmp_path, "refuse") as at:
        await at.add(FIRST)
        await at.happens(text="a")
        await at.run()
        found = await find_trace(at.house.tenancy, ACME, str((await at.the_run()).id))
        assert "(Step first: You may not.)" in "\n".join(trace_lines(found))


async def test_an_old_run_is_removed_when_its_signal_is_and_not_before(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.registry.add_job(retention.retention_kind(30))
        at.registry.add_job(signal_retention.retention_kind(retention_days(30)))
        await at.add(FIRST)
        await at.happens(text="a")
        await at.run()
        await make_old(at.house, days=400)
        await retain(at, retention.NAME)
        assert len(await at.runs()) == 1
        await retain(at, signal_retention.NAME)
        await retain(at, retention.NAME)
        assert (await at.runs(), await at.steps()) == ([], [])


async def retain(at: Desk, name: str) -> None:
    await add_job(at.house, NewJob(name, {}))
    await at.run()


async def make_old(house: House, days: int) -> None:
    """The run by its id, which holds its time; its signal by its row, as nothing else may change it."""
    old = retention.oldest_id(days)
    await house.tenant_rows(ACME, "alter table workflow_steps drop constraint workflow_steps_run_id_fkey")
    for sql in (
        f"update workflow_runs set id = '{old}'",
        f"update workflow_steps set run_id = '{old}'",
        "alter table workflow_steps add constraint workflow_steps_run_id_fkey foreign key (run_id)"
        " references workflow_runs (id) on delete cascade",
        "alter table signals disable trigger immutable",
        f"update signals set created_at = now() - interval '{days} days'",
        "alter table signals enable trigger immutable",
    ):
        await house.tenant_rows(ACME, sql)


async def test_a_stored_version_never_changes(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST)
        with pytest.raises(Exception, match="immutable"):
            async with at.house.tenancy.session(ACME) as session:
                await session.execute(text("update workflow_versions set digest = 'x'"))
