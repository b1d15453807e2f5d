"""What a person settles on the command line: unknown outcomes, failures, runs, dead letters."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Agent, Directive, Effect, Execution
from fleetprompt.model.states import DirectiveState, EffectState, ExecutionState
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, House, fresh_house

JOB = (
    "insert into public.job (id, tenant, kind, args, state, attempt, finished_at, last_error)"
    " values ($1, $2, 'directive.run', '{}', 'dead', 8, now(), 'it broke')"
)


async def directive_in(house: House, state: DirectiveState, effect: EffectState) -> str:
    """A post that stands so in acme; its id."""
    directive = Directive(
        id=uuid4(), name="mattermost.post.create", idempotency_key=uuid4().hex, state=state, arguments_digest="",
        arguments={"channel_id": "c", "channel_kind": "public", "thread_id": "", "text": "hello"}, summary="fleet answers dana.", actor_kind="agent",
        actor_id="a", actor_name="fleet", correlation_id=uuid4(), attempt=1,
    )  # fmt: skip
    async with house.tenancy.session(ACME) as session:
        session.add(directive)
        await session.flush()
        key = f"{directive.id}.0"
        session.add(Effect(id=uuid4(), directive_id=directive.id, part=0, key=key, state=effect, request={}))
    return str(directive.id)


async def run_in(house: House, state: ExecutionState) -> str:
    """A run that stands so in acme; its id."""
    common: dict[str, Any] = {"limits": {}, "model": ""}
    async with house.tenancy.session(ACME) as session:
        agent = Agent(
            id=uuid4(), name=uuid4().hex, purpose="", instructions="", tools=[], policies={}, limits={}
        )
        agent.state, agent.model = "active", None
        session.add(agent)
        await session.flush()
        run = Execution(
            id=uuid4(), agent_id=agent.id, idempotency_key=uuid4().hex, correlation_id=uuid4(), **common
        )
        run.state, run.input = state, {"text": "hello"}
        session.add(run)
    return str(run.id)


async def dead_job(house: House, tenant: TenantSlug) -> UUID:
    job_id = uuid4()
    await house.rows(JOB, job_id, tenant)
    return job_id


async def test_an_unknown_outcome_is_settled_by_what_a_person_saw() -> None:
    async with fresh_house() as house:
        run, unknown = CommandLine.on(house.url), (DirectiveState.OUTCOME_UNKNOWN, EffectState.UNKNOWN)
        there, absent = await directive_in(house, *unknown), await directive_in(house, *unknown)
        unsaid = await run("directives", "resolve", there, "--org", "acme")
        assert unsaid.code == 2
        settled = await asyncio.gather(
            run.ok("directives", "resolve", there, "--org", "acme", "--sent", "--json"),
            run.ok("directives", "resolve", absent, "--org", "acme", "--not-sent", "--json"),
        )
        assert [said.row["state"] for said in settled] == ["succeeded", "requested"]
        elsewhere = await run("directives", "resolve", there, "--org", "globex", "--sent")
        assert (elsewhere.code, is_one_line(elsewhere.err)) == (1, True)
        jobs = await house.rows("select args from public.job where kind = 'directive.run'")
        assert [absent in job["args"] for job in jobs] == [True]


async def test_a_failed_directive_gets_another_round_and_a_waiting_one_is_withdrawn() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        failed = await directive_in(house, DirectiveState.FAILED, EffectState.FAILED)
        waiting = await directive_in(house, DirectiveState.REQUESTED, EffectState.PLANNED)
        retried, canceled, refused = await asyncio.gather(
            run.ok("directives", "retry", failed, "--org", "acme", "--json"),
            run.ok("directives", "cancel", waiting, "--org", "acme", "--json"),
            run("directives", "approve", str(uuid4()), "--org", "acme"),
        )
        assert (retried.row["state"], canceled.row["state"], refused.code) == ("requested", "canceled", 1)
        names = await house.tenant_rows(ACME, "select name, actor_id from signals")
        assert {row["name"] for row in names} == {"directive.retried", "directive.canceled"}
        assert all(row["actor_id"].startswith("cli:") for row in names)


async def test_a_run_is_canceled_and_a_failed_one_goes_on() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        queued, failed = (
            await run_in(house, ExecutionState.QUEUED),
            await run_in(house, ExecutionState.FAILED),
        )
        said = await asyncio.gather(
            run.ok("executions", "cancel", queued, "--org", "acme"),
            run.ok("executions", "retry", failed, "--org", "acme"),
        )
        assert ["canceled" in said[0].out, "queued" in said[1].out] == [True, True]
        again = await run("executions", "cancel", queued, "--org", "acme")
        assert (again.code, is_one_line(again.err)) == (1, True)


async def test_dead_letters_are_listed_retried_and_discarded_each_in_its_tenant() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        mine, doomed = await dead_job(house, ACME), await dead_job(house, ACME)
        theirs = await dead_job(house, GLOBEX)
        listed = await run.ok("jobs", "list", "--org", "acme", "--state", "dead", "--json")
        assert {row["id"] for row in listed.rows} == {str(mine), str(doomed)}
        assert listed.rows[0]["last_error"] == "it broke"
        shown, foreign = await asyncio.gather(
            run.ok("jobs", "show", str(mine), "--org", "acme", "--json"),
            run("jobs", "discard", str(theirs), "--org", "acme"),
        )
        assert (shown.row["args"], foreign.code) == ({}, 1)
        await run.ok("jobs", "retry", str(mine), "--org", "acme")
        await run.ok("jobs", "discard", str(doomed), "--org", "acme")
        twice = await run("jobs", "retry", str(mine), "--org", "acme")
        assert (twice.code, "not dead" in twice.err) == (1, True)
        left = await house.rows(
            "select id, state from public.job where kind = 'directive.run' order by tenant"
        )
        assert [(row["id"], row["state"]) for row in left] == [(mine, "available"), (theirs, "dead")]
