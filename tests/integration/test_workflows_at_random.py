"""Whatever a far side does and a person decides, in whatever order: nothing happens twice, and everything ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, WorkflowRun
from fleetprompt.runtime.directives import decide as directive_decide
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.replay import Chosen, replay
from fleetprompt.runtime.workflows.decide import cancel_run, retry_run
from fleetprompt.runtime.workflows.definition import read
from fleetprompt.runtime.workflows.manage import add_workflow
from tests import workflow_scenes as scenes
from tests.directives import PERSON, FarSide, run_once, run_out
from tests.house import ACME, House, fresh_house
from tests.workflow_scenes import BLINK, ODD, THING, TOLD, post

TELL = {"name": "tell", "emit": TOLD}
POST = post("post", "{{signal.payload.text}}")
ASKS = post("asks", "x", approval="ask")
LOST = {**POST, "params": {"texts": ["{{signal.payload.nowhere}}"]}}
ACTS = ("ok", "lost", "silent", "retry", "busy", "refuse")
DECISIONS = ("nothing", "run", "retry", "cancel", "approve", "reject", "replay", "settle")
OVER = ("succeeded", "failed", "canceled")

kinds = st.lists(st.sampled_from((TELL, POST, ASKS, ODD, LOST, BLINK)), min_size=1, max_size=4)
scripts = st.lists(st.sampled_from(ACTS), max_size=5)
decisions = st.lists(st.sampled_from(DECISIONS), max_size=12)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[asyncio.Runner, House]]:
    with asyncio.Runner() as runner:
        house = fresh_house()
        yield runner, runner.run(house.__aenter__())
        runner.run(house.__aexit__(None, None, None))


@settings(max_examples=15, deadline=None)
@given(steps=kinds, acts=scripts, wishes=decisions)
def test_nothing_happens_twice_and_everything_ends(
    stage: tuple[asyncio.Runner, House], steps: list[dict[str, Any]], acts: list[str], wishes: list[str]
) -> None:
    runner, house = stage
    named = [{**step, "name": f"s{number}"} for number, step in enumerate(steps)]
    with tempfile.TemporaryDirectory() as directory:
        far = FarSide(Path(directory) / "ledger", [*acts, "ok"])
        runner.run(_play(house, far, named, wishes))


async def _play(house: House, far: FarSide, steps: list[dict[str, Any]], wishes: list[str]) -> None:
    models = scenes.models()
    registry = scenes.registry_of(far, models)
    name = f"w{uuid4().hex[:12]}"
    async with house.tenancy.session(ACME) as session:
        definition = read({"name": name, "on": THING, "when": {"signal.payload.name": name}, "steps": steps})
        await add_workflow(session, registry, definition, PERSON)
    signal_id = await _happens(house, registry, name)
    for wish in wishes:
        await run_once(house, registry)
        await _decide(house, registry, wish, signal_id)
    for _ in range(8):
        await run_out(house, registry)
        for last in ("approve", "settle"):
            await _decide(house, registry, last, signal_id)
    await _is_over(house, far, signal_id)
    await models.close()


async def _happens(house: House, registry: Registry, name: str) -> UUID:
    async with house.tenancy.session(ACME) as session:
        return (await emit(session, registry, NewSignal(THING, {"text": "hi", "name": name}, PERSON))).id


async def _decide(house: House, registry: Registry, wish: str, signal_id: UUID) -> None:
    """What the wish means now; nothing, where it means nothing."""
    async with house.tenancy.session(ACME) as session:
        run = await session.scalar(select(WorkflowRun).where(WorkflowRun.signal_id == signal_id))
        if run is None:
            return
        if wish == "retry" and run.state == "failed":
            await retry_run(session, registry, run.id, PERSON)
        if wish == "cancel" and run.state not in OVER:
            await cancel_run(session, registry, run.id, PERSON)
        if wish == "replay":
            await replay(session, registry, Chosen(ids=[signal_id]), PERSON)
        query = select(Directive).where(Directive.correlation_id == signal_id)
        for directive in list(await session.scalars(query)):
            found = DirectiveId(directive.id)
            if wish == "approve" and directive.state == "awaiting_approval":
                await directive_decide.approve(session, registry, found, PERSON)
            if wish == "reject" and directive.state == "awaiting_approval":
                await directive_decide.reject(session, registry, found, PERSON, "no")
            if wish == "settle" and directive.state == "outcome_unknown":
                await directive_decide.resolve(session, registry, found, PERSON, sent=False)


async def _is_over(house: House, far: FarSide, signal_id: UUID) -> None:
    [run] = await house.tenant_rows(
        ACME, "select id, state, error from workflow_runs where signal_id = $1", signal_id
    )
    assert run["state"] in OVER, run
    assert len(far.done()) == len(set(far.done())), "something happened twice"
    rows = await house.tenant_rows(
        ACME, "select state, kind, directive_id from workflow_steps where run_id = $1", run["id"]
    )
    states = Counter(row["state"] for row in rows)
    if run["state"] == "succeeded":
        assert set(states) <= {"succeeded", "skipped"}
    if run["state"] == "failed":
        assert states["failed"] == 1
    assert states["running"] == states["waiting"] == 0
    done = [row for row in rows if row["kind"] == "emit" and row["state"] == "succeeded"]
    told = await house.tenant_rows(
        ACME, "select 1 from signals where name = $1 and causation_id = $2", TOLD, run["id"]
    )
    assert len(told) == len(done)
    ends = await house.tenant_rows(
        ACME,
        "select name from signals where causation_id = $1 and name = 'workflow.run.succeeded'",
        run["id"],
    )
    assert len(ends) == (run["state"] == "succeeded")
    assert await house.value("select count(*) from public.job where state <> 'dead'") == 0
