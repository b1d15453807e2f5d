"""What a step waits for has ended: its result is kept and its run woken, in the transaction of that end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select

from fleetprompt.model import Directive, Execution, WorkflowRun, WorkflowStep
from fleetprompt.model.states import DirectiveState, ExecutionState, WorkflowStepState
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.workflows.record import KEY
from fleetprompt.runtime.workflows.start import enqueue_run
from fleetprompt.tenancy import TenantSession


async def on_settled(session: TenantSession, directive: Directive) -> None:
    """The hook of directives. One whose outcome nobody knows still waits for the person who settles it."""
    if not directive.idempotency_key.startswith(KEY) or directive.state == DirectiveState.OUTCOME_UNKNOWN:
        return
    step = await _waiting(session, WorkflowStep.directive_id == directive.id)
    if step is not None:
        await settle(session, step, directive)


async def on_finished(session: TenantSession, execution: Execution) -> None:
    """The hook of executions."""
    if not execution.idempotency_key.startswith(KEY):
        return
    step = await _waiting(session, WorkflowStep.execution_id == execution.id)
    if step is not None:
        await settle(session, step, execution)


async def settle(session: TenantSession, step: WorkflowStep, ended: Directive | Execution) -> None:
    """End a waiting step as that which it waited for ended, and wake its run."""
    if ended.state in (DirectiveState.SUCCEEDED, ExecutionState.SUCCEEDED):
        result = result_of(ended)
        await move(
            session, step, WorkflowStepState.SUCCEEDED, result=result, finished_at=func.clock_timestamp()
        )
    else:
        code = ended.error_code or str(ended.state)
        values = {"error_code": code, "error": ended.error or f"It was {ended.state}."}
        await move(session, step, WorkflowStepState.FAILED, **values, finished_at=func.clock_timestamp())
    await enqueue_run(session, await session.get_one(WorkflowRun, step.run_id))


def result_of(ended: Directive | Execution) -> dict[str, Any]:
    """What later steps may read: an agent's text; a directive's receipts, the first one's fields at hand."""
    if isinstance(ended, Execution):
        return {"text": ended.output or "", "execution_id": str(ended.id)}
    receipts = (ended.result or {}).get("receipts", [])
    return {**(receipts[0] if receipts else {}), "receipts": receipts, "directive_id": str(ended.id)}


async def _waiting(session: TenantSession, condition: ColumnElement[bool]) -> WorkflowStep | None:
    waiting = select(WorkflowStep).where(condition, WorkflowStep.state == WorkflowStepState.WAITING)
    return await session.scalar(waiting.with_for_update())
