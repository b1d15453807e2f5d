"""What a person does with a run: cancel it, or give a failed one another round."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Directive, ToolCallRecord
from fleetprompt.model.states import DirectiveState, ExecutionState
from fleetprompt.runtime.directives import end as directive_end
from fleetprompt.runtime.executions.end import finished, tell
from fleetprompt.runtime.executions.record import Run, hold
from fleetprompt.runtime.executions.start import enqueue_run
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession


async def cancel_execution(
    session: TenantSession, registry: Registry, execution_id: ExecutionId, by: Actor
) -> Run:
    """End a run; what its directives have begun they finish, what has not begun is withdrawn."""
    # A directive that ends holds itself, then its run: in the same order here, or each would wait for the other.
    await _hold_directives(session, execution_id)
    run = await _find(session, execution_id)
    await move(session, run.execution, ExecutionState.CANCELED, finished_at=func.now())
    for directive in await _hold_directives(session, execution_id):
        if directive.state in (DirectiveState.REQUESTED, DirectiveState.AWAITING_APPROVAL):
            await directive_end.withdraw(session, registry, directive, "canceled", "Its run was canceled.")
    await tell(session, registry, run, "agent.execution.canceled", by=f"{by.kind}:{by.id}")
    await finished(session, registry, run)
    return run


async def retry_execution(
    session: TenantSession, registry: Registry, execution_id: ExecutionId, by: Actor
) -> Run:
    """Let a failed run go on from where it stopped. Raises Conflict if it has not failed."""
    run = await _find(session, execution_id)
    if run.execution.state != ExecutionState.FAILED:
        raise Conflict(f"This execution is {run.execution.state}.", "Only a failed one can be retried.")
    again = {
        "round": run.execution.round + 1,
        "model_failures": 0,
        "on_fallback": False,
        "error": None,
        "error_code": None,
        "finished_at": None,
    }
    await move(session, run.execution, ExecutionState.QUEUED, **again)
    await tell(session, registry, run, "agent.execution.retried", by=f"{by.kind}:{by.id}")
    execution = run.execution
    await enqueue_run(session, execution.id, execution.lane, execution.position, execution.correlation_id)
    return run


async def _hold_directives(session: TenantSession, execution_id: ExecutionId) -> Sequence[Directive]:
    """Those that the run waits for."""
    waited_for = select(ToolCallRecord.directive_id).where(
        ToolCallRecord.execution_id == execution_id, ToolCallRecord.state == "waiting"
    )
    query = select(Directive).where(Directive.id.in_(waited_for)).order_by(Directive.id).with_for_update()
    return list(await session.scalars(query.execution_options(populate_existing=True)))


async def _find(session: TenantSession, execution_id: ExecutionId) -> Run:
    run = await hold(session, execution_id)
    if run is None:
        raise NotFound(
            f"There is no execution {execution_id} here.", "See: fleetprompt executions list --org ..."
        )
    return run
