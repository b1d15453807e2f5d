"""Looking runs up, for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Workflow, WorkflowRun, WorkflowStep
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class RunFilter:
    """All given conditions hold together. workflow: by name, whatever its case, archived ones too."""

    workflow: str | None = None
    state: str | None = None
    correlation_id: UUID | None = None
    signal_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its workflow's name and its steps, in order."""

    run: WorkflowRun
    workflow: str
    steps: Sequence[WorkflowStep] = ()


async def list_runs(session: TenantSession, chosen: RunFilter, limit: int) -> Sequence[RunRecord]:
    """The newest ones, oldest of them first; without their steps."""
    query = select(WorkflowRun, Workflow.name).join(Workflow, Workflow.id == WorkflowRun.workflow_id)
    query = query.order_by(WorkflowRun.id.desc()).limit(limit)
    if chosen.workflow is not None:
        query = query.where(func.lower(Workflow.name) == chosen.workflow.lower())
    if chosen.state is not None:
        query = query.where(WorkflowRun.state == chosen.state)
    if chosen.correlation_id is not None:
        query = query.where(WorkflowRun.correlation_id == chosen.correlation_id)
    if chosen.signal_id is not None:
        query = query.where(WorkflowRun.signal_id == chosen.signal_id)
    return [RunRecord(run, name) for run, name in await session.execute(query)][::-1]


async def show_run(session: TenantSession, run_id: UUID) -> RunRecord:
    """With its steps. Raises NotFound."""
    query = select(WorkflowRun, Workflow.name).join(Workflow, Workflow.id == WorkflowRun.workflow_id)
    row = (await session.execute(query.where(WorkflowRun.id == run_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id} here.", "See: fleetprompt workflow runs --org ...")
    steps = select(WorkflowStep).where(WorkflowStep.run_id == run_id).order_by(WorkflowStep.index)
    return RunRecord(row[0], row[1], list(await session.scalars(steps)))
