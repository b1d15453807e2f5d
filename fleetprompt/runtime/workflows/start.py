"""The handler that starts runs: one for each workflow and signal, however often the signal is seen."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Signal, Workflow, WorkflowRun, WorkflowStep
from fleetprompt.model.states import WorkflowRunState, WorkflowState, WorkflowStepState
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.replay import as_new
from fleetprompt.runtime.workflows.allowance import TooManyRuns, require_run
from fleetprompt.runtime.workflows.chain import MAX_DEPTH, depth_of
from fleetprompt.runtime.workflows.conditions import all_hold
from fleetprompt.runtime.workflows.definition import Definition
from fleetprompt.runtime.workflows.manage import version_of
from fleetprompt.runtime.workflows.match import asking_workflows
from fleetprompt.runtime.workflows.record import Run, actor_of, snapshot
from fleetprompt.runtime.workflows.tell import tell
from fleetprompt.tenancy import TenantSession

LOOP = "workflow.loop.stopped"
REFUSED = "workflow.run.refused"


async def start_runs(session: TenantSession, registry: Registry, signal: Signal) -> None:
    """Start what asks for this signal, in the transaction of the handler's job."""
    for workflow_id in await asking_workflows(session, signal.name):
        workflow = await session.get_one(Workflow, workflow_id)
        if not await _is_known(session, workflow, signal):
            await _start(session, registry, workflow, signal)


async def _is_known(session: TenantSession, workflow: Workflow, signal: Signal) -> bool:
    known = select(WorkflowRun.id).where(WorkflowRun.idempotency_key == _key(workflow, signal))
    return await session.scalar(known) is not None


def _key(workflow: Workflow, signal: Signal) -> str:
    """Not of its version: a changed workflow does not run again for what it has seen."""
    return f"{workflow.id}:{signal.id}"


async def _start(session: TenantSession, registry: Registry, workflow: Workflow, signal: Signal) -> None:
    version = await version_of(session, workflow.id, workflow.version)
    definition = Definition.model_validate(version.definition)
    if not all_hold(definition.when, {"signal": snapshot(signal)}):
        return
    depth = await depth_of(session, workflow.id, signal)
    if depth > MAX_DEPTH:
        await _stop_loop(session, registry, workflow, signal)
        return
    try:
        await require_run(session)
    except TooManyRuns as error:
        await _refuse(session, registry, workflow, signal, error)
        return
    await _make(session, registry, workflow, definition, signal, depth)


async def _make(
    session: TenantSession,
    registry: Registry,
    workflow: Workflow,
    definition: Definition,
    signal: Signal,
    depth: int,
) -> None:
    held = select(Workflow.state).where(Workflow.id == workflow.id).with_for_update(read=True)
    if await session.scalar(held) != WorkflowState.ACTIVE:
        return  # put away, or gone with its package, at this very moment
    values = _row(workflow, signal, depth)
    inserted = insert(WorkflowRun).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    row = (await session.scalars(inserted.returning(WorkflowRun))).one_or_none()
    if row is None:
        return  # another worker, whose lease had run out, was quicker
    steps = [_step_row(row.id, index, step.name, step.kind) for index, step in enumerate(definition.steps)]
    await session.execute(insert(WorkflowStep), steps)
    await enqueue_run(session, row)
    await tell(session, registry, Run(row, workflow, definition, []), "workflow.run.started", depth=depth)


async def enqueue_run(session: TenantSession, row: WorkflowRun) -> None:
    """The job that takes the run on from wherever it stands."""
    await enqueue(
        session,
        NewJob(
            "workflow.run",
            {"run_id": str(row.id)},
            lane=row.lane,
            position=row.position,
            unique_key=f"workflow_run:{row.id}",
            correlation_id=row.correlation_id,
        ),
    )


def _row(workflow: Workflow, signal: Signal, depth: int) -> dict[str, Any]:
    order = as_new(signal)
    return {
        "id": new_id(),
        "workflow_id": workflow.id,
        "version": workflow.version,
        "idempotency_key": _key(workflow, signal),
        "state": WorkflowRunState.QUEUED,
        "signal_id": signal.id,
        "signal": snapshot(signal),
        "correlation_id": signal.correlation_id,
        "installation_id": signal.installation_id,
        "conversation_id": signal.conversation_id,
        "depth": depth,
        "lane": order.lane,
        "position": order.position,
    }


def _step_row(run_id: UUID, index: int, name: str, kind: str) -> dict[str, Any]:
    state = WorkflowStepState.PENDING
    return {"id": new_id(), "run_id": run_id, "index": index, "name": name, "kind": kind, "state": state}


async def _stop_loop(session: TenantSession, registry: Registry, workflow: Workflow, signal: Signal) -> None:
    """Say so once for each signal; but not of that very news, or two workflows would tell each other for ever."""
    if signal.name == LOOP:
        return
    key = f"{LOOP}:{workflow.id}:{signal.id}"
    await _tell_of(session, registry, workflow, signal, LOOP, key, depth=MAX_DEPTH)


async def _refuse(
    session: TenantSession, registry: Registry, workflow: Workflow, signal: Signal, error: TooManyRuns
) -> None:
    """Say so once an hour; what was not started can be replayed."""
    key = f"{REFUSED}:{workflow.id}:{signal.created_at:%Y-%m-%dT%H}"
    told = {"error_code": error.code, "error": str(error)}
    await _tell_of(session, registry, workflow, signal, REFUSED, key, **told)


async def _tell_of(
    session: TenantSession,
    registry: Registry,
    workflow: Workflow,
    signal: Signal,
    name: str,
    key: str,
    **more: Any,
) -> None:
    payload = {
        "workflow_id": str(workflow.id),
        "workflow": workflow.name,
        "signal_id": str(signal.id),
        "signal": signal.name,
        **more,
    }
    new = NewSignal(
        name,
        payload,
        actor_of(workflow),
        dedupe_key=key,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
    )
    await emit(session, registry, new)
