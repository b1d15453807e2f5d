"""Scenes of a workflow's run that can be cut off anywhere and played again from where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Agent, Workflow, WorkflowRun, WorkflowStep
from fleetprompt.model.states import WorkflowState
from fleetprompt.runtime.executions import register as executions
from fleetprompt.runtime.llm import Endpoint, ModelBoundary
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.handle import handle_kind
from fleetprompt.runtime.workflows import register as workflows
from fleetprompt.runtime.workflows.decide import cancel_run, retry_run
from fleetprompt.runtime.workflows.definition import read
from fleetprompt.runtime.workflows.manage import add_workflow, set_workflow_state
from fleetprompt.tenancy import Tenancy, TenantSession
from tests.directives import PERSON, POST, FarSide, registry_for, run_once
from tests.house import ACME, House

ROUNDS = 60
NAME = "follow"
THING = "tenant.thing.happened"
TOLD = "tenant.thing.told"
Move = tuple[str, str, str]


def post(name: str, text: str, **more: Any) -> dict[str, Any]:
    """A step with an effect on the far side."""
    return {"name": name, "directive": POST, "params": {"texts": [text]}, **more}


TELL = {"name": "tell", "emit": TOLD, "payload": {"text": "{{signal.payload.text}}"}}
FIRST = post("first", "{{signal.payload.text}}")
AGENT = {"name": "ask", "agent": "fleet", "input": "{{signal.payload.text}}"}
SECOND = post("second", "{{steps.first.result.id}} {{steps.ask.result.execution_id}}")
ODD = {"name": "odd", "emit": TOLD, "when": {"signal.payload.text": {"contains": "nothing of it"}}}
HOUR = {"name": "hour", "wait": 3600}
BLINK = {"name": "blink", "wait": 0.001}
LOST = post("lost", "{{signal.payload.nowhere}}")
NEWER = post("newer", "x")


@dataclass(frozen=True, slots=True)
class Scene:
    """decisions: what a person does to a run in a state: cancel, retry, retry_once, or `die` (its job is given up).

    effects, told: how many happen outside, and how many signals of the workflow's own.
    """

    steps: Sequence[dict[str, Any]]
    acts: Sequence[str] = ("ok",)
    decisions: tuple[tuple[str, str], ...] = ()
    without: str | None = None
    """A directive that this program does not have, though the one that added the workflow did."""
    ends: str = "succeeded"
    effects: int = 0
    told: int = 0
    runs: int = 1


SCENES = {
    "plain": Scene([FIRST, BLINK, AGENT, TELL, ODD, SECOND], effects=2, told=1),
    "lost_answer": Scene([FIRST, TELL], acts=("lost",), effects=1, told=1),
    "refused": Scene([FIRST, TELL], acts=("refuse", "ok"), decisions=(("failed", "retry"),), effects=1, told=1),
    "missing": Scene([TELL, LOST], decisions=(("failed", "retry_once"),), ends="failed", told=1),
    "canceled_early": Scene([FIRST], decisions=(("queued", "cancel"),), ends="canceled"),
    "canceled_at_rest": Scene([TELL, HOUR], decisions=(("waiting", "cancel"),), ends="canceled", told=1),
    "canceled_between": Scene(
        [TELL, NEWER], without=POST, decisions=(("running", "cancel"),), ends="canceled", told=1
    ),
    "given_up_early": Scene([FIRST], decisions=(("queued", "die"),), ends="failed"),
    "given_up_at_rest": Scene([TELL, HOUR], decisions=(("waiting", "die"),), ends="failed", told=1),
}  # fmt: skip
MANAGED = {
    "paused": (WorkflowState.PAUSED, WorkflowState.ACTIVE),
    "retired": (WorkflowState.ARCHIVED,),
    "shelved": (WorkflowState.PAUSED, WorkflowState.ARCHIVED),
}
"""scene -> the states into which the workflow is put, before its signal comes."""
MOVES: dict[str, list[Move]] = {
    "plain": [
        ("workflow_run", "queued", "running"),
        ("workflow_run", "running", "waiting"),
        ("workflow_run", "waiting", "running"),
        ("workflow_run", "running", "succeeded"),
        ("workflow_step", "pending", "running"),
        ("workflow_step", "running", "waiting"),
        ("workflow_step", "waiting", "succeeded"),
        ("workflow_step", "running", "succeeded"),
        ("workflow_step", "pending", "skipped"),
    ],
    "refused": [
        ("workflow_step", "waiting", "failed"),
        ("workflow_run", "running", "failed"),
        ("workflow_run", "failed", "queued"),
        ("workflow_step", "failed", "waiting"),
    ],
    "missing": [("workflow_step", "running", "failed"), ("workflow_step", "failed", "pending")],
    "canceled_early": [("workflow_run", "queued", "canceled")],
    "canceled_at_rest": [("workflow_run", "waiting", "canceled")],
    "canceled_between": [("workflow_run", "running", "canceled")],
    "given_up_early": [("workflow_run", "queued", "failed")],
    "given_up_at_rest": [("workflow_run", "waiting", "failed")],
    "paused": [("workflow", "active", "paused"), ("workflow", "paused", "active")],
    "retired": [("workflow", "active", "archived")],
    "shelved": [("workflow", "paused", "archived")],
}
"""scene -> the moves that are made in it."""
_GIVE_UP = """
with dead as (update public.job set state = 'dead', last_error = 'it broke' where kind = 'workflow.run'
    and state = 'available' and args->>'run_id' = $1 returning *)
insert into public.job (id, tenant, kind, args, unique_key) select gen_random_uuid(), tenant, 'job.died',
    jsonb_build_object('job_id', id, 'kind', kind, 'args', args, 'error', last_error), tenant || ':died:' || id from dead
"""


def registry_of(far: FarSide, models: ModelBoundary) -> Registry:
    """What a run needs: the far side's directive, agents that answer without a model, workflows."""
    registry = registry_for(far)
    registry.add_job(handle_kind(registry))
    for name in ("signals.replayed", "agent.paused"):
        registry.add_signal(name, "Something that a person did.")
    executions.register(registry, models)
    workflows.register(registry)
    return registry


def models() -> ModelBoundary:
    """The planner that needs no model."""
    return ModelBoundary(Endpoint("builtin", None, None))


async def play_in_process(url: str, name: str, ledger: str) -> None:
    """For a process of its own."""
    database = Database(url)
    try:
        await play(House(url, database, Tenancy(database)), name, Path(ledger))
    finally:
        await database.close()


async def play(house: House, name: str, ledger: Path) -> None:
    """To the end. Whoever plays it again after a death finds what was done, and does the rest."""
    scene = SCENES.get(name, Scene([FIRST]))
    boundary = models()
    registry = registry_of(FarSide(ledger, scene.acts), boundary)
    await prepare(house, registry, scene.steps)
    for state in MANAGED.get(name, ()):
        await _put(house, registry, state)
    if scene.without is not None:
        registry.directives.pop(scene.without)
    await happens(house, registry)
    for _ in range(ROUNDS):
        decided = await _decide(house, registry, scene)
        if await run_once(house, registry) is None and not decided:
            break
    await boundary.close()


async def prepare(
    house: House, registry: Registry, steps: Sequence[dict[str, Any]], name: str = NAME
) -> None:
    """The agent and the workflow, unless they are there."""
    async with house.tenancy.session(ACME) as session:
        await hire(session)
        if await session.scalar(select(Workflow.id)) is None:
            definition = read({"name": name, "on": THING, "steps": list(steps)})
            await add_workflow(session, registry, definition, PERSON)


async def hire(session: TenantSession) -> None:
    """The agent, unless it is there."""
    if await session.scalar(select(Agent.id)) is None:
        agent = Agent(
            id=new_id(), name="fleet", purpose="", instructions="", tools=[], limits={}, policies={}
        )
        agent.state, agent.model = "active", None
        session.add(agent)
        await session.flush()


async def happens(
    house: House, registry: Registry, text: str = "hello {{signal.id}}", key: str = "k"
) -> UUID:
    """The signal, once."""
    async with house.tenancy.session(ACME) as session:
        new = NewSignal(THING, {"text": text}, PERSON, dedupe_key=key)
        return (await emit(session, registry, new)).id


async def _put(house: House, registry: Registry, state: WorkflowState) -> None:
    async with house.tenancy.session(ACME) as session:
        if (
            await session.scalar(select(Workflow.id).where(Workflow.state != WorkflowState.ARCHIVED))
            is not None
        ):
            await set_workflow_state(session, registry, NAME, PERSON, state)


async def _decide(house: House, registry: Registry, scene: Scene) -> bool:
    """Whether a person had something to do."""
    async with house.tenancy.session(ACME) as session:
        run = await session.scalar(select(WorkflowRun))
        decision = dict(scene.decisions).get(run.state) if run is not None else None
        if run is None or decision is None:
            return False
        again = select(WorkflowStep.id).where(WorkflowStep.run_id == run.id, WorkflowStep.round > 0)
        if decision == "retry_once" and await session.scalar(again) is not None:
            return False
        if decision == "cancel":
            await cancel_run(session, registry, run.id, PERSON)
        elif decision != "die":
            await retry_run(session, registry, run.id, PERSON)
    if decision == "die":
        await house.rows(_GIVE_UP, str(run.id))
    return True
