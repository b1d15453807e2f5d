"""Beginning a step: what it was begun with, and what it asks for, are one commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound
from fleetprompt.model import Installation, WorkflowStep
from fleetprompt.model.states import AgentState, InstallationState, WorkflowStepState
from fleetprompt.runtime.agents.manage import find_agent
from fleetprompt.runtime.agents.provider import provider_of
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.executions.start import NewExecution, start
from fleetprompt.runtime.jobs import NewJob, Work, enqueue
from fleetprompt.runtime.jobs.work import unknown_here
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.workflows.allowance import require_run
from fleetprompt.runtime.workflows.conditions import all_hold
from fleetprompt.runtime.workflows.definition import Step
from fleetprompt.runtime.workflows.record import Run
from fleetprompt.runtime.workflows.templates import fill_in, paths_in
from fleetprompt.tenancy import TenantSession

ASKS = "The workflow asks for approval."
NOW = func.clock_timestamp


@dataclass(frozen=True, slots=True)
class CurrentStep:
    """A step in the hands of the transaction that begins it. input: the templates filled in."""

    session: TenantSession
    registry: Registry
    run: Run
    step: WorkflowStep
    spec: Step
    input: Mapping[str, Any]


async def begin(session: TenantSession, registry: Registry, work: Work, run: Run, step: WorkflowStep) -> None:
    """Leave the step succeeded, waiting, skipped or failed."""
    spec = run.spec(step)
    if spec.directive is not None and spec.directive not in registry.directives:
        raise unknown_here(work, f"directive {spec.directive!r}")
    if not all_hold(spec.when, run.context):
        await move(session, step, WorkflowStepState.SKIPPED, finished_at=NOW())
        return
    try:
        filled = fill_in(_given(spec), run.context)
    except InvalidInput as error:
        await move(session, step, WorkflowStepState.RUNNING, started_at=NOW())
        await fail_step(session, step, error)
        return
    await move(session, step, WorkflowStepState.RUNNING, started_at=NOW(), input=filled)
    try:
        await ACTS[spec.kind](CurrentStep(session, registry, run, step, spec, filled))
    except FleetPromptError as error:  # raised before anything was written
        await fail_step(session, step, error)


async def fail_step(session: TenantSession, step: WorkflowStep, error: FleetPromptError) -> None:
    """It cannot be done."""
    failed = WorkflowStepState.FAILED
    await move(session, step, failed, error_code=error.code, error=str(error), finished_at=NOW())


def _given(spec: Step) -> dict[str, Any]:
    """The part of a step in which templates are filled in."""
    given: dict[str, dict[str, Any]] = {
        "directive": {"params": spec.params},
        "agent": {"input": spec.input},
        "wait": {"seconds": spec.wait},
        "emit": {"payload": spec.payload},
    }
    return given[spec.kind]


async def _request_directive(current: CurrentStep) -> None:
    """Its end wakes the run."""
    row, spec, step = current.run.row, current.spec, current.step
    assert spec.directive is not None
    new = NewDirective(
        spec.directive,
        current.run.key(step),
        current.input["params"],
        f"The workflow {current.run.workflow.name} does its step {step.name}.",
        current.run.actor,
        correlation_id=row.correlation_id,
        causation_id=row.id,
        installation_id=await _installation(current),
        lane=row.lane,
        position=row.position,
        approval_reason=ASKS if spec.approval == "ask" else None,
    )
    requested = await request(current.session, current.registry, new)
    await move(current.session, step, WorkflowStepState.WAITING, directive_id=requested.id)


async def _start_agent(current: CurrentStep) -> None:
    """Text that came through a template may be a stranger's: then the agent asks before it changes anything."""
    row, spec = current.run.row, current.spec
    assert spec.agent is not None
    agent = await find_agent(current.session, spec.agent)
    assert agent is not None
    if agent.state != AgentState.ACTIVE:
        raise Conflict(
            f"The agent {agent.name} is {agent.state}.", "fleetprompt agent resume lets it answer again."
        )
    provider = await provider_of(current.session, agent)
    if provider is not None and provider.problem is not None:
        enable = f"fleetprompt package enable {provider.package}"
        raise Conflict(f"The agent {agent.name} is at rest: {provider.problem}.", enable)
    await require_run(current.session)
    new = NewExecution(
        agent,
        current.run.key(current.step),
        _request_of(current),
        row.correlation_id,
        current.run.actor,
        signal_id=row.signal_id,
        installation_id=row.installation_id,
        lane=row.lane,
        position=row.position,
        tainted=any(paths_in(spec.input)),
    )
    execution_id, _ = await start(current.session, current.registry, new)
    await move(current.session, current.step, WorkflowStepState.WAITING, execution_id=execution_id)


def _request_of(current: CurrentStep) -> dict[str, Any]:
    workflow = current.run.workflow
    return {
        "text": current.input["input"],
        "author_kind": "workflow",
        "person_id": f"workflow:{workflow.id}",
        "person_name": workflow.name,
    }


async def _wait(current: CurrentStep) -> None:
    """In no lane: a conversation does not stand still while a workflow rests."""
    row, seconds = current.run.row, float(current.input["seconds"])
    timer = NewJob(
        "workflow.run",
        {"run_id": str(row.id)},
        delay_s=seconds,
        unique_key=f"workflow_run:{row.id}:{current.step.index}",
        correlation_id=row.correlation_id,
    )
    await enqueue(current.session, timer)
    wake_at = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    await move(current.session, current.step, WorkflowStepState.WAITING, wake_at=wake_at)


async def _emit(current: CurrentStep) -> None:
    row, step = current.run.row, current.step
    assert current.spec.emit is not None
    new = NewSignal(
        current.spec.emit,
        current.input["payload"],
        current.run.actor,
        dedupe_key=current.run.key(step),
        correlation_id=row.correlation_id,
        causation_id=row.id,
        installation_id=row.installation_id,
        conversation_id=row.conversation_id,
        lane=row.lane,
        position=row.position,
    )
    told = await emit(current.session, current.registry, new)
    done = {"result": {"signal_id": str(told.id)}, "signal_id": told.id, "finished_at": NOW()}
    await move(current.session, step, WorkflowStepState.SUCCEEDED, **done)


ACTS: Mapping[str, Callable[[CurrentStep], Awaitable[None]]] = {
    "directive": _request_directive,
    "agent": _start_agent,
    "wait": _wait,
    "emit": _emit,
}


async def _installation(current: CurrentStep) -> UUID | None:
    """The one that the step names, else the signal's own. Raises NotFound, Conflict."""
    if current.spec.installation is None:
        return current.run.row.installation_id
    package, _, name = current.spec.installation.partition(":")
    query = select(Installation.id).where(
        Installation.package == package, Installation.state != InstallationState.UNINSTALLED
    )
    if name:
        query = query.where(Installation.name == name)
    found = list(await current.session.scalars(query.limit(2)))
    if not found:
        raise NotFound(
            f"There is no installation {current.spec.installation!r}.", "See: fleetprompt package status"
        )
    if len(found) > 1:
        raise Conflict(f"There are several installations of {package!r}.", f"Write which: {package}:NAME.")
    return found[0]
