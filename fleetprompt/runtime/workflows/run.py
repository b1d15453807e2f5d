"""A run's job: one step after the other, each in a transaction of its own, until the run waits or is over.

What comes next is read from the steps alone, so a death anywhere goes on where the last commit was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.model import WorkflowStep
from fleetprompt.model.states import WorkflowRunState, WorkflowStepState
from fleetprompt.runtime.jobs.work import Postpone, Work
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows import end
from fleetprompt.runtime.workflows.act import NOW, begin
from fleetprompt.runtime.workflows.record import Run, load
from fleetprompt.tenancy import TenantSession

OPEN = (WorkflowRunState.QUEUED, WorkflowRunState.RUNNING, WorkflowRunState.WAITING)


@dataclass(frozen=True, slots=True)
class Begin:
    """Do this step."""

    step: WorkflowStep


@dataclass(frozen=True, slots=True)
class Rest:
    """This step is on its way; its end, or its time, wakes the run."""

    step: WorkflowStep


@dataclass(frozen=True, slots=True)
class Fail:
    """This step failed, and the run with it."""

    step: WorkflowStep


@dataclass(frozen=True, slots=True)
class Succeed:
    """All steps are done or skipped."""


Action = Begin | Rest | Fail | Succeed
DONE = (WorkflowStepState.SUCCEEDED, WorkflowStepState.SKIPPED)


def next_action(run: Run) -> Action:
    """Steps are done in order; a pure function of what is recorded."""
    step = next((step for step in run.steps if step.state not in DONE), None)
    if step is None:
        return Succeed()
    if step.state == WorkflowStepState.FAILED:
        return Fail(step)
    return Rest(step) if step.state == WorkflowStepState.WAITING else Begin(step)


async def run_workflow(registry: Registry, work: Work, run_id: UUID) -> None:
    """Take a run as far as it goes now."""
    while await _go_on(registry, work, run_id):
        pass


async def _go_on(registry: Registry, work: Work, run_id: UUID) -> bool:
    """Whether there is more to do now; if not, the job ends in the same transaction. Raises Postpone."""
    goes_on: bool | Postpone = False
    async with work.step() as session:
        run = await load(session, run_id)
        if run is not None and run.row.state in OPEN:
            goes_on = await _advance(session, registry, work, run)
        if goes_on is False:
            await work.conclude(session)
    if isinstance(goes_on, Postpone):
        raise goes_on
    return goes_on


async def _advance(session: TenantSession, registry: Registry, work: Work, run: Run) -> bool | Postpone:
    """Whether there is more to do now; Postpone: woken before the time."""
    match next_action(run):
        case Begin(step):
            await _be(session, run, WorkflowRunState.RUNNING)
            await begin(session, registry, work, run, step)
            return not await _rests(session, run, step)
        case Rest(step):
            return await _rest(session, run, step)
        case Fail(step):
            await _be(session, run, WorkflowRunState.RUNNING)
            code = step.error_code or "failed"
            await end.fail(session, registry, run, code, f"Step {step.name}: {step.error or code}", step.name)
        case Succeed():
            await _be(session, run, WorkflowRunState.RUNNING)
            await end.succeed(session, registry, run)
        case other:
            assert_never(other)
    return False


async def _be(session: TenantSession, run: Run, state: WorkflowRunState) -> None:
    if run.row.state != state:
        await move(session, run.row, state, started_at=run.row.started_at or func.now())


async def _rests(session: TenantSession, run: Run, step: WorkflowStep) -> bool:
    """Whether the run has to wait for this step, and now does."""
    if step.state != WorkflowStepState.WAITING:
        return False
    if run.row.state == WorkflowRunState.QUEUED:
        await _be(session, run, WorkflowRunState.RUNNING)
    await _be(session, run, WorkflowRunState.WAITING)
    return True


async def _rest(session: TenantSession, run: Run, step: WorkflowStep) -> bool | Postpone:
    """Go on resting, unless it is time; only the database's clock decides that."""
    if step.wake_at is None:
        await _rests(session, run, step)
        return False
    now = (await session.execute(select(func.now()))).scalar_one()
    left_s = (step.wake_at - now).total_seconds()
    if left_s > 0:
        await _rests(session, run, step)
        return Postpone(left_s, "the workflow rests")
    await _be(session, run, WorkflowRunState.RUNNING)
    await move(session, step, WorkflowStepState.SUCCEEDED, result={}, finished_at=NOW())
    return True
