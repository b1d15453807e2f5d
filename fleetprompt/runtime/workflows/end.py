"""How a run ends, in the caller's transaction: its state and its signal."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func

from fleetprompt.model.states import WorkflowRunState, WorkflowStepState
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.record import Run, load
from fleetprompt.runtime.workflows.tell import tell
from fleetprompt.telemetry import metrics
from fleetprompt.tenancy import TenantSession


async def succeed(session: TenantSession, registry: Registry, run: Run) -> None:
    """All its steps are done."""
    await move(session, run.row, WorkflowRunState.SUCCEEDED, finished_at=func.now())
    await tell(session, registry, run, "workflow.run.succeeded")
    _count(session, run)


async def fail(
    session: TenantSession, registry: Registry, run: Run, code: str, reason: str, step: str | None = None
) -> None:
    """It goes no further, unless a person retries it."""
    values = {"error_code": code, "error": reason, "finished_at": func.now()}
    await move(session, run.row, WorkflowRunState.FAILED, **values)
    await tell(session, registry, run, "workflow.run.failed", error_code=code, error=reason, step=step)
    _count(session, run)


async def cancel(session: TenantSession, registry: Registry, run: Run, by: str) -> None:
    """A person ended it."""
    await move(session, run.row, WorkflowRunState.CANCELED, finished_at=func.now())
    await tell(session, registry, run, "workflow.run.canceled", by=by)
    _count(session, run)


async def bury(registry: Registry, work: Work, run_id: UUID, error: str) -> None:
    """Its job is a dead letter: nobody would wake the run again."""
    async with work.finish() as session:
        run = await load(session, run_id)
        is_open = (WorkflowRunState.QUEUED, WorkflowRunState.RUNNING, WorkflowRunState.WAITING)
        if run is None or run.row.state not in is_open:
            return
        reason = f"Its job died: {error}"
        await end_rest(session, run, "job_died", reason)
        await fail(session, registry, run, "job_died", reason)


async def end_rest(session: TenantSession, run: Run, code: str, reason: str) -> None:
    """A step that only waits for its time need not."""
    for step in run.steps:
        if step.state == WorkflowStepState.WAITING and step.wake_at is not None:
            ended = {"error_code": code, "error": reason, "finished_at": func.clock_timestamp()}
            await move(session, step, WorkflowStepState.FAILED, **ended)


def _count(session: TenantSession, run: Run) -> None:
    metrics.WORKFLOW_RUNS.labels(session.tenant, run.row.state).inc()
