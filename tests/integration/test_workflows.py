"""Workflows on a real database: a signal, its run, its steps, and how each may end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model.states import AgentState, WorkflowState
from fleetprompt.runtime.agents.manage import set_agent_state
from fleetprompt.runtime.directives import decide as directive_decide
from fleetprompt.runtime.workflows.decide import cancel_run, retry_run
from fleetprompt.runtime.workflows.manage import set_workflow_state
from tests.directives import PERSON, run_once
from tests.house import ACME, GLOBEX
from tests.workflow_scenes import AGENT, HOUR, post
from tests.workflows import Desk, desk

FIRST = post("first", "{{signal.payload.text}}")
TELL: dict[str, Any] = {
    "name": "tell",
    "emit": "tenant.thing.told",
    "payload": {"id": "{{steps.first.result.id}}"},
}


async def test_a_signal_leads_to_a_directive_and_its_result_to_the_next_step(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST, TELL)
        signal_id = await at.happens(text="hello")
        await at.run()
        run = await at.the_run()
        assert (run.state, run.signal_id, run.correlation_id, run.depth) == (
            "succeeded",
            signal_id,
            signal_id,
            1,
        )
        assert await at.told("tenant.thing.told") == [{"id": at.far.done()[0]}]
        [directive] = await at.directives()
        assert directive.idempotency_key == f"workflow:{run.id}:0"
        assert (directive.arguments["texts"], directive.causation_id) == (["hello"], run.id)
        assert (directive.actor_kind, directive.actor_name) == ("system", "follow")


async def test_what_a_stranger_writes_is_never_looked_at_again(tmp_path: Path) -> None:
    hostile = "{{signal.payload.secret}} \x00 {{steps.first.result.id}} '); drop table signals; --"
    async with desk(tmp_path) as at:
        await at.add(FIRST)
        await at.happens(text=hostile.replace("\x00", ""), secret="s3cret")
        await at.run()
        [directive] = await at.directives()
        assert directive.arguments["texts"] == [hostile.replace("\x00", "")]


async def test_a_replay_of_the_signal_runs_nothing_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST, TELL)
        first = await at.happens(text="a")
        await at.run()
        await at.replayed(first)
        await at.add(FIRST)  # nor does a changed workflow
        await at.replayed(first)
        assert len(await at.runs()) == len(at.far.done()) == 1
        await at.happens(text="b")
        await at.run()
        assert len(at.far.done()) == 2


async def test_a_replay_starts_what_did_not_ask_for_the_signal_before(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        before = await at.happens(text="a")
        await at.run()
        await at.add(FIRST)
        await at.replayed(before)
        assert (await at.the_run()).state == "succeeded"


async def test_only_the_signals_that_are_asked_for_and_as_they_have_to_be_start_a_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        when = {"signal.payload.kind": "late", "signal.payload.text": {"contains": "order"}}
        await at.add(FIRST, name="picky", when=when)
        await at.add(FIRST, name="broad", on="tenant.thing.*")
        await at.happens(kind="late", text="my order")
        await at.happens(kind="late", text="my cat")
        await at.happens(kind="early", text="my order")
        await at.happens("tenant.thing", text="x")
        await at.happens("tenant.thinghappened", text="x")
        await at.run()
        assert len(await at.runs()) == 4
        assert len({run.workflow_id for run in await at.runs()}) == 2


async def test_a_step_whose_condition_does_not_hold_is_skipped(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        odd = {**FIRST, "when": {"signal.payload.loud": True}}
        even = {"name": "even", "emit": "tenant.thing.quiet", "when": {"steps.first.result.id": "x"}}
        await at.add(odd, even, {"name": "last", "emit": "tenant.thing.done"})
        await at.happens(text="a", loud=False)
        await at.run()
        assert await at.states() == ["skipped", "skipped", "succeeded"]
        assert (await at.the_run()).state == "succeeded"


async def test_a_directive_that_fails_fails_the_run_visibly(tmp_path: Path) -> None:
    async with desk(tmp_path, "refuse") as at:
        await at.add(FIRST, TELL)
        await at.happens(text="a")
        await at.run()
        run = await at.the_run()
        assert (run.state, run.error_code, run.error) == ("failed", "forbidden", "Step first: You may not.")
        assert await at.states() == ["failed", "pending"]
        [told] = await at.told("workflow.run.failed")
        assert (told["step"], told["error_code"]) == ("first", "forbidden")


async def test_a_failed_run_goes_on_at_its_step_when_a_person_retries_it(tmp_path: Path) -> None:
    async with desk(tmp_path, "refuse", "ok") as at:
        await at.add(FIRST, TELL)
        await at.happens(text="a")
        await at.run()
        run = await at.the_run()
        await decided(at, retry_run)
        await at.run()
        assert (await at.the_run()).state == "succeeded"
        assert len(await at.directives()) == len(at.far.done()) == 1
        with pytest.raises(Conflict, match="succeeded"):
            await decided(at, retry_run)
        assert run.id == (await at.the_run()).id


async def test_a_failed_directive_that_was_tried_again_first_is_not_asked_for_twice(tmp_path: Path) -> None:
    async with desk(tmp_path, "refuse", "ok") as at:
        await at.add(FIRST, TELL)
        await at.happens(text="a")
        await at.run()
        [directive] = await at.directives()
        async with at.house.tenancy.session(ACME) as session:
            await directive_decide.retry(session, at.registry, DirectiveId(directive.id), PERSON)
        await at.run()
        assert (await at.the_run()).state == "failed"
        await decided(at, retry_run)
        await at.run()
        assert (await at.the_run()).state == "succeeded"
        assert len(at.far.done()) == 1


async def test_an_unknown_outcome_keeps_the_run_waiting_until_a_person_settles_it(tmp_path: Path) -> None:
    async with desk(tmp_path, "lost", looks=("unclear",)) as at:
        await at.add(FIRST, TELL)
        await at.happens(text="a")
        await at.run()
        assert (await at.the_run()).state == "waiting"
        [directive] = await at.directives()
        async with at.house.tenancy.session(ACME) as session:
            await directive_decide.resolve(session, at.registry, DirectiveId(directive.id), PERSON, sent=True)
        await at.run()
        run = await at.the_run()
        assert (run.state, run.error_code) == ("failed", "missing_value")  # a person's word has no id


async def test_a_step_that_asks_waits_for_a_person_and_a_refusal_fails_the_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add({**FIRST, "approval": "ask"}, TELL)
        for decide in (directive_decide.approve, None):
            await at.happens(text="a")
            await at.run()
            waiting = (await at.directives())[-1]
            assert (waiting.state, (await at.runs())[-1].state) == ("awaiting_approval", "waiting")
            async with at.house.tenancy.session(ACME) as session:
                found = DirectiveId(waiting.id)
                if decide is not None:
                    await decide(session, at.registry, found, PERSON)
                else:
                    await directive_decide.reject(session, at.registry, found, PERSON, "no")
            await at.run()
        assert [(run.state, run.error_code) for run in await at.runs()] == [
            ("succeeded", None),
            ("failed", "rejected"),
        ]
        assert len(at.far.done()) == 1


async def test_an_agents_answer_is_a_steps_result_and_is_posted_nowhere_else(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(AGENT, post("say", "{{steps.ask.result.text}}"))
        await at.happens(text="help")
        await at.run()
        [execution] = await at.house.tenant_rows(ACME, "select state, output, tainted, input from executions")
        assert (execution["state"], execution["tainted"]) == ("succeeded", True)
        assert '"text": "help"' in execution["input"]
        [directive] = await at.directives()
        assert directive.arguments["texts"] == [execution["output"]]


async def test_a_paused_agent_fails_the_step_and_says_what_to_do(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(AGENT)
        async with at.house.tenancy.session(ACME) as session:
            await set_agent_state(session, at.registry, "fleet", PERSON, AgentState.PAUSED)
        await at.happens(text="help")
        await at.run()
        assert "The agent fleet is paused." in str((await at.the_run()).error)


async def test_a_rest_ends_by_the_databases_clock_and_not_before(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(HOUR, FIRST)
        await at.happens(text="a")
        for _ in range(4):
            await run_once(at.house, at.registry)  # which lets its job come early
        assert (await at.the_run()).state == "waiting"
        assert at.far.done() == []
        await at.house.tenant_rows(ACME, "update workflow_steps set wake_at = now() where kind = 'wait'")
        await at.run()
        assert (await at.the_run()).state == "succeeded"


async def test_a_canceled_run_withdraws_what_has_not_begun(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add({**FIRST, "approval": "ask"})
        await at.happens(text="a")
        await at.run()
        await decided(at, cancel_run)
        await at.run()
        [directive] = await at.directives()
        assert ((await at.the_run()).state, directive.state, await at.states()) == (
            "canceled",
            "canceled",
            ["failed"],
        )
        with pytest.raises(Conflict, match="canceled"):
            await decided(at, cancel_run)


async def test_the_same_content_is_the_same_version_and_runs_keep_theirs(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asking = {**FIRST, "approval": "ask"}
        assert [(await at.add(asking, TELL)).change for _ in range(2)] == ["added", "unchanged"]
        await at.happens(text="a")
        await at.run()
        changed = await at.add(asking)
        assert (changed.change, changed.version.version, changed.workflow.version) == ("changed", 2, 2)
        await at.happens(text="b")
        await at.run()
        for directive in await at.directives():
            async with at.house.tenancy.session(ACME) as session:
                await directive_decide.approve(session, at.registry, DirectiveId(directive.id), PERSON)
        await at.run()
        assert [(run.version, run.state) for run in await at.runs()] == [(1, "succeeded"), (2, "succeeded")]
        assert len(await at.told("tenant.thing.told")) == 1


async def test_added_by_two_at_once_it_is_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        added = await asyncio.gather(*(at.add(FIRST) for _ in range(6)))
        assert sorted(one.change for one in added) == ["added"] + ["unchanged"] * 5
        assert await at.told("workflow.added") != []


async def test_a_version_that_is_given_has_to_be_the_next(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST, version=1)
        await at.add(FIRST, version=1)
        with pytest.raises(InvalidInput, match="version: this would become version 2"):
            await at.add(TELL | {"payload": {}}, version=1)


async def test_a_paused_workflow_starts_nothing_and_an_archived_one_frees_its_name(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST)
        for state, expected in (("paused", 0), ("active", 1), ("archived", 1)):
            async with at.house.tenancy.session(ACME) as session:
                await set_workflow_state(session, at.registry, "Follow", PERSON, WorkflowState(state))
            await at.happens(text="a")
            await at.run()
            assert len(await at.runs()) == expected, state
        assert (await at.add(FIRST)).change == "added"


async def test_another_tenant_neither_starts_nor_sees_anything(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.add(FIRST)
        await at.happens(tenant=GLOBEX, text="a")
        await at.run()
        assert await at.runs() == await at.runs(GLOBEX) == []
        assert await at.house.tenant_rows(GLOBEX, "select 1 from workflows") == []


async def decided(at: Desk, decide: Any) -> None:
    run = await at.the_run()
    async with at.house.tenancy.session(ACME) as session:
        await decide(session, at.registry, run.id, PERSON)
