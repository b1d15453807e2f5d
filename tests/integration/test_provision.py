"""What a package provides: made once, brought up to date, and taken back to the last row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Agent, Installation
from fleetprompt.model.states import AgentState, WorkflowState
from fleetprompt.runtime.agents.manage import create_agent, set_agent, set_agent_state
from fleetprompt.runtime.executions import manage
from fleetprompt.runtime.executions.start import NewExecution, start
from fleetprompt.runtime.workflows.definition import read
from fleetprompt.runtime.workflows.manage import add_workflow, set_workflow_state
from tests.house import ACME
from tests.openai_stub import Reply
from tests.provided import (
    HOST,
    SKILL,
    SORT,
    agents,
    greeter,
    installed,
    provides,
    withdraws,
    workflows,
)
from tests.stage import OPERATOR, Stage, running_worker, stage

COUNTED = ("agents", "workflows", "grants")


@pytest.fixture
async def play() -> AsyncIterator[Stage]:
    async with stage(working=False) as opened:
        yield opened


async def of_it(play: Stage, installation_id: UUID) -> list[int]:
    """How many rows of each table bear the installation; agents that were taught its skills among them."""
    found = [
        await play.house.tenant_rows(
            ACME, f"select 1 from {table} where installation_id = $1", installation_id
        )
        for table in COUNTED
    ]
    taught = await play.house.tenant_rows(
        ACME, "select 1 from agents where skills::text like '%' || $1 || '%'", str(installation_id)
    )
    return [len(rows) for rows in (*found, taught)]


async def changes(play: Stage) -> list[str]:
    rows = await play.house.tenant_rows(
        ACME, "select name from signals where name like 'agent.%' or name like 'workflow.%' order by id"
    )
    return [row["name"] for row in rows][1:]  # without that of the stage's own agent


async def test_a_package_provides_an_agent_with_skills_and_a_workflow_once(play: Stage) -> None:
    of = await installed(play)
    done = await provides(play, of)
    assert (done.agents, done.workflows, done.skills) == (["host"], ["sort"], ["greet"])
    host = (await agents(play))["host"]
    assert (host.installation_id, host.tools, host.scopes) == (of, ["orders.lookup"], [])
    [skill] = host.skills
    assert (skill["name"], skill["package"], skill["installation_id"]) == ("greet", "greeter", str(of))
    assert (await workflows(play))["sort"].installation_id == of
    assert await changes(play) == ["agent.created", "workflow.added"]
    await provides(play, of)
    assert await changes(play) == ["agent.created", "workflow.added"]
    assert await of_it(play, of) == [1, 1, 0, 1]


async def test_withdrawing_leaves_no_row_and_all_that_is_not_its_own(play: Stage) -> None:
    of, before = await installed(play), set(await agents(play))
    await provides(play, of, grants=["orders:read"])
    assert await of_it(play, of) == [1, 1, 1, 1]
    gone = await withdraws(play, of)
    assert (sorted(gone.removed), gone.changed, gone.orphaned) == (["agent host", "workflow sort"], [], [])
    assert await of_it(play, of) == [0, 0, 0, 0]
    assert (set(await agents(play)), await workflows(play)) == (before, {})
    assert (await withdraws(play, of)).removed == []
    assert (await provides(play, of)).agents == ["host"]  # a name that went is free again


async def test_a_taken_name_is_refused_before_anything_is_made(play: Stage) -> None:
    of = await installed(play)
    async with play.house.tenancy.session(ACME) as session:
        await create_agent(session, play.registry, "Host", OPERATOR)
    with pytest.raises(Conflict, match=r"agent 'Host' already.*settings"):
        await provides(play, of)
    assert (await workflows(play), await of_it(play, of)) == ({}, [0, 0, 0, 0])


async def test_a_taken_workflow_is_refused_too(play: Stage) -> None:
    of = await installed(play)
    own = read({**{k: v for k, v in SORT.items() if k != "title"}, "steps": [{"name": "rest", "wait": 1}]})
    async with play.house.tenancy.session(ACME) as session:
        await add_workflow(session, play.registry, own, OPERATOR)
    with pytest.raises(Conflict, match=r"workflow 'sort' already.*--name"):
        await provides(play, of)
    assert "host" not in await agents(play)


async def test_two_installations_have_each_their_own(play: Stage) -> None:
    first, second, third = (
        await installed(play),
        await installed(play, "two"),
        await installed(play, "three", host_name="greta"),
    )
    for of in (first, second, third):
        await provides(play, of)
    assert {"host", "host-two", "greta"} < set(await agents(play))
    assert set(await workflows(play)) == {"sort", "sort-two", "sort-three"}
    await withdraws(play, second)
    assert set(await workflows(play)) == {"sort", "sort-three"}
    assert await of_it(play, first) == [1, 1, 0, 1]


async def test_another_version_changes_what_differs_and_keeps_what_a_person_changed(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    async with play.house.tenancy.session(ACME) as session:
        values = {"instructions": "Be brief.", "model": "builtin"}
        await set_agent(session, play.registry, "host", OPERATOR, values)
    newer = {
        "skills": [{**SKILL, "instructions": "Say hello twice."}],
        "agents": [{**HOST, "instructions": "Be very kind.", "purpose": "Greets all."}],
        "workflows": [{**SORT, "name": "sort-all"}],
    }
    done = await provides(play, of, greeter("1.1.0", provides=newer))
    assert (done.kept, done.removed) == (["agent host: instructions"], ["workflow sort"])
    host = (await agents(play))["host"]
    assert (host.instructions, host.purpose, host.model) == ("Be brief.", "Greets all.", "builtin")
    assert host.skills[0]["instructions"] == "Say hello twice."
    assert set(await workflows(play)) == {"sort-all"}
    back = await provides(play, of)  # a rollback is the same, the other way round
    assert (back.removed, set(await workflows(play))) == (["workflow sort-all"], {"sort"})
    assert (await agents(play))["host"].purpose == "Greets."
    gone = await withdraws(play, of)
    assert gone.changed == ["agent host: instructions"]


async def test_a_version_without_an_agent_takes_it_and_its_workflow_away(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    done = await provides(play, of, greeter("2.0.0", provides={"agents": [], "workflows": [], "skills": []}))
    assert sorted(done.removed) == ["agent host", "workflow sort"]
    assert await of_it(play, of) == [0, 0, 0, 0]


async def test_what_a_person_retired_stays_retired(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    async with play.house.tenancy.session(ACME) as session:
        await set_workflow_state(session, play.registry, "sort", OPERATOR, WorkflowState.ARCHIVED)
        await set_agent_state(session, play.registry, "host", OPERATOR, AgentState.ARCHIVED)
    with pytest.raises(InvalidInput, match="no agent 'host'"):  # the newer workflow has nobody to ask
        await provides(play, of, greeter("1.1.0", provides={"workflows": [{**SORT, "name": "sort-all"}]}))
    done = await provides(play, of)
    assert (done.agents, done.workflows) == ([], [])
    await withdraws(play, of)
    assert await of_it(play, of) == [0, 0, 0, 0]


async def test_a_setting_names_the_agent_also_later(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(
            update(Installation).where(Installation.id == of).values(config={"host_name": "greta"})
        )
    await provides(play, of)
    assert set(await agents(play)) == {"fleet", "greta"}
    rows = await play.house.tenant_rows(
        ACME, "select definition from workflow_versions order by version desc limit 1"
    )
    assert '"agent": "greta"' in str(rows[0]["definition"])


async def test_whatever_else_names_its_agent_is_told(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    mine = read(
        {
            "name": "mine",
            "on": "chat.message.received",
            "steps": [{"name": "a", "agent": "host", "input": "x"}],
        }
    )
    async with play.house.tenancy.session(ACME) as session:
        await add_workflow(session, play.registry, mine, OPERATOR)
        chat = update(Installation).where(Installation.id == play.installation_id)
        await session.execute(chat.values(config={"agent": "Host"}))
    gone = await withdraws(play, of)
    assert gone.orphaned == ["workflow mine asks agent host", "testchat names agent host"]
    assert set(await workflows(play)) == {"mine"}


async def test_a_package_gives_its_agent_no_tool_that_it_does_not_ask_for(play: Stage) -> None:
    of = await installed(play)
    greedy = greeter(provides={"agents": [{**HOST, "tools": ["orders.hold"]}]})
    with pytest.raises(InvalidInput, match=r"orders\.hold.*scope orders:write"):
        await provides(play, of, greedy)


async def test_a_tool_that_this_program_lacks_waits_for_it(play: Stage) -> None:
    of = await installed(play)
    done = await provides(play, of, greeter(provides={"agents": [{**HOST, "tools": ["stars.count"]}]}))
    assert done.missing_tools == ["stars.count"]


async def test_its_workflow_asks_its_agent_and_its_skill_is_in_the_prompt(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    play.stub.script([Reply.says("topic: greeting")])
    async with running_worker(play):
        await play.says("hello there", addressed=False)
        run = await play.run_in_state("succeeded")
    assert (run.output, run.agent_id) == ("topic: greeting", (await agents(play))["host"].id)
    [asked] = play.stub.requests
    assert "Say hello to Zebedee" in str(asked.json)
    # With runs on record the agent cannot go, and stays as nobody's.
    await withdraws(play, of)
    assert await of_it(play, of) == [0, 0, 0, 0]
    rows = await play.house.tenant_rows(ACME, "select state, name from agents where name = 'host'")
    assert [tuple(row) for row in rows] == [("archived", "host")]
    assert [run.state for run in await play.executions()] == ["succeeded"]


async def test_what_it_provides_rests_while_its_installation_is_disabled(play: Stage) -> None:
    of = await installed(play)
    await provides(play, of)
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(update(Agent).where(Agent.name == "fleet").values(state="archived"))
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(update(Installation).where(Installation.id == of).values(state="disabled"))
    async with running_worker(play):
        await play.says("hello there", addressed=False)
        await play.says("host, hello", at_ms=2000)
        assert await play.chat.wait_for(1) == [
            "host is paused at the moment; an administrator can resume it."
        ]
    assert await play.executions() == []


async def test_a_package_takes_over_no_conversation_unasked(play: Stage) -> None:
    await provides(play, await installed(play))
    play.stub.script([Reply.says("fleet here"), Reply.says("host here")])
    async with running_worker(play):
        await play.says("hello")
        await play.chat.wait_for(1)
        await play.says("host hello", at_ms=2000, thread="t2")
        await play.chat.wait_for(2)
    names = {agent.id: name for name, agent in (await agents(play)).items()}
    assert [names[run.agent_id] for run in await play.executions()] == ["fleet", "host"]


async def test_a_run_that_ends_at_the_very_moment_that_all_goes_keeps_nothing_from_going(
    play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, asked, hold = await installed(play), "executions", manage._hold_directives
    await provides(play, of)
    new = NewExecution((await agents(play))["host"], "once", {"text": "Hello"}, new_id(), OPERATOR)
    async with play.house.tenancy.session(ACME) as session:
        await start(session, play.registry, new)

    async def hold_late(*known: Any) -> Any:
        for state in ("running", "succeeded"):
            await play.house.tenant_rows(ACME, f"update {asked} set state = '{state}'")
        return await hold(*known)

    monkeypatch.setattr(manage, "_hold_directives", hold_late)
    assert (await withdraws(play, of)).removed == ["workflow sort", "agent host"]
    assert await of_it(play, of) == [0, 0, 0, 0]
