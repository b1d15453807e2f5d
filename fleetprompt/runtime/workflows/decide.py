"""What a person does with a run: cancel it, or let a failed one go on.

Rows are held in one order, run, then directive or execution, then step, so that nobody waits crosswise.
"""

from __future__ import annotations

import contextlib
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import DirectiveId, ExecutionId
from fleetprompt.model import Directive, Execution, WorkflowRun, WorkflowStep
from fleetprompt.model.states import DirectiveState, ExecutionState, WorkflowRunState, WorkflowStepState
from fleetprompt.runtime.directives import decide as directive_decide
from fleetprompt.runtime.directives import end as directive_end
from fleetprompt.runtime.executions.manage import cancel_execution, retry_execution
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.workflows import end
from fleetprompt.runtime.workflows.record import Run, load
from fleetprompt.runtime.workflows.run import OPEN
from fleetprompt.runtime.workflows.start import enqueue_run
from fleetprompt.runtime.workflows.tell import tell
from fleetprompt.runtime.workflows.wake import settle
from fleetprompt.tenancy import TenantSession

CLEAR = {"error_code": None, "error": None, "finished_at": None}


async def cancel_run(session: TenantSession, registry: Registry, run_id: UUID, by: Actor) -> Run:
    """End a run; what its directives have begun they finish, what has not begun is withdrawn."""
    row = await _hold(session, run_id)
    if row.state not in OPEN:
        raise Conflict(f"This run is {row.state}.", "Only one that goes on can be canceled.")
    for step in await _steps(session, run_id, WorkflowStepState.WAITING):
        await _withdraw(session, registry, step, by)
    run = await _load(session, run_id)
    await end.cancel(session, registry, run, f"{by.kind}:{by.id}")
    await end.end_rest(session, run, "canceled", "Its run was canceled.")
    return run


async def retry_run(session: TenantSession, registry: Registry, run_id: UUID, by: Actor) -> Run:
    """Let a failed run go on at the step that failed. Raises Conflict if it has not failed."""
    row = await _hold(session, run_id)
    if row.state != WorkflowRunState.FAILED:
        raise Conflict(f"This run is {row.state}.", "Only a failed one can be retried.")
    failed = await _steps(session, run_id, WorkflowStepState.FAILED)
    asked = {step.id: await _asked(session, step) for step in failed}
    run = await _load(session, run_id)
    await move(session, run.row, WorkflowRunState.QUEUED, **CLEAR)
    for step in run.steps:
        if step.state == WorkflowStepState.FAILED:
            await _again(session, registry, step, asked[step.id], by)
    await tell(session, registry, run, "workflow.run.retried", by=f"{by.kind}:{by.id}")
    await enqueue_run(session, run.row)
    return run


async def _withdraw(session: TenantSession, registry: Registry, step: WorkflowStep, by: Actor) -> None:
    """Its end ends the step too."""
    if step.directive_id is not None:
        directive = await directive_end.lock(session, DirectiveId(step.directive_id))
        idle = (DirectiveState.REQUESTED, DirectiveState.AWAITING_APPROVAL)
        if directive is not None and directive.state in idle:
            await directive_end.withdraw(session, registry, directive, "canceled", "Its run was canceled.")
    elif step.execution_id is not None:
        with contextlib.suppress(Conflict):  # it has ended meanwhile
            await cancel_execution(session, registry, ExecutionId(step.execution_id), by)


async def _asked(session: TenantSession, step: WorkflowStep) -> Directive | Execution | None:
    """What the step asked for, held."""
    if step.directive_id is not None:
        return await directive_end.lock(session, DirectiveId(step.directive_id))
    if step.execution_id is not None:
        return await session.get(Execution, step.execution_id, with_for_update=True)
    return None


async def _again(
    session: TenantSession,
    registry: Registry,
    step: WorkflowStep,
    asked: Directive | Execution | None,
    by: Actor,
) -> None:
    """A directive or an execution that failed gets another round itself: it knows what of it was done."""
    if asked is None or asked.state in (DirectiveState.CANCELED, ExecutionState.CANCELED):
        anew = {"directive_id": None, "execution_id": None, "round": step.round + 1}
        await move(session, step, WorkflowStepState.PENDING, **CLEAR, **anew, wake_at=None)
        return
    await move(session, step, WorkflowStepState.WAITING, **CLEAR)
    if asked.state in (DirectiveState.SUCCEEDED, ExecutionState.SUCCEEDED):
        await settle(session, step, asked)  # a person had it tried again meanwhile
    elif asked.state != DirectiveState.FAILED:
        return  # the same, and it goes on
    elif isinstance(asked, Directive):
        await directive_decide.retry(session, registry, DirectiveId(asked.id), by)
    else:
        await retry_execution(session, registry, ExecutionId(asked.id), by)


async def _hold(session: TenantSession, run_id: UUID) -> WorkflowRun:
    """The run's row alone. Raises NotFound."""
    row = await session.scalar(select(WorkflowRun).where(WorkflowRun.id == run_id).with_for_update())
    if row is None:
        raise NotFound(f"There is no run {run_id} here.", "See: fleetprompt workflow runs --org ...")
    return row


async def _steps(session: TenantSession, run_id: UUID, state: WorkflowStepState) -> list[WorkflowStep]:
    """Not held: what they wait for has to be held before them."""
    query = select(WorkflowStep).where(WorkflowStep.run_id == run_id, WorkflowStep.state == state)
    return list(await session.scalars(query.order_by(WorkflowStep.index)))


async def _load(session: TenantSession, run_id: UUID) -> Run:
    run = await load(session, run_id)
    assert run is not None, "its row is held"
    return run
