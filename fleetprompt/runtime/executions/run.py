"""The step loop: decide from what is recorded, act, record, again; a death anywhere resumes at the same place.

    go on     one transaction: record what came back, decide (a pure function), do what needs no waiting
    act       outside any transaction: one model call, or one tool that only reads

A model's answer is stored before it is acted on, so no recorded model call and no effect is ever repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import func

from fleetprompt.kernel import faults
from fleetprompt.kernel.ids import ExecutionId, TenantSlug
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.executions import observe
from fleetprompt.runtime.executions.act import Reading, Thinking, read, think
from fleetprompt.runtime.executions.advance import advance
from fleetprompt.runtime.executions.record import Run, begun, hold, recall
from fleetprompt.runtime.jobs import follow
from fleetprompt.runtime.jobs.work import Begun, Postpone, Work
from fleetprompt.runtime.llm import ModelBoundary
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.telemetry import bound
from fleetprompt.tenancy import TenantSession

Recorder = Callable[[TenantSession, Run], Awaitable[Postpone | None]]
"""Stores what came back from outside, of a run that was canceled meanwhile what it cost alone.

A Postpone is raised once that is committed.
"""


async def run_execution(
    registry: Registry, models: ModelBoundary, work: Work, execution_id: ExecutionId
) -> None:
    """Take a run as far as it goes now. Raises Postpone to go on later."""
    with bound(execution_id=execution_id):
        outside = await _go_on(registry, work, execution_id, None)
        await _carry_on(registry, models, work, execution_id, outside)


async def begin_execution(
    registry: Registry, models: ModelBoundary, work: Work, session: TenantSession, execution_id: ExecutionId
) -> Begun:
    """The first transaction of a run inside the one that asked for it."""
    run = await begun(session, execution_id)
    outside = await _decide(session, registry, work.tenant, run, run.execution.state)
    if outside is None:
        return Begun(None)

    async def rest() -> None:
        with bound(execution_id=execution_id):
            await _carry_on(registry, models, work, execution_id, outside)

    return Begun(rest)


async def _carry_on(
    registry: Registry,
    models: ModelBoundary,
    work: Work,
    execution_id: ExecutionId,
    outside: Thinking | Reading | None,
) -> None:
    while outside is not None:
        recorder = await _act(registry, models, work, outside)
        outside = await _go_on(registry, work, execution_id, recorder)


async def _act(
    registry: Registry, models: ModelBoundary, work: Work, outside: Thinking | Reading
) -> Recorder:
    if isinstance(outside, Thinking):
        return await think(registry, models, work.tenant, outside)
    return await read(registry, outside)


async def _go_on(
    registry: Registry, work: Work, execution_id: ExecutionId, recorder: Recorder | None
) -> Thinking | Reading | None:
    """None = nothing more for now, and the job is over."""
    outside, postpone = None, None
    async with work.step() as session:
        run = await hold(session, execution_id)
        if run is not None:
            before = run.execution.state
            postpone = None if recorder is None else await recorder(session, run)
            if postpone is None:
                await recall(session, run)
                outside = await _decide(session, registry, work.tenant, run, before)
        if outside is None and postpone is None:
            await work.conclude(session)
    if recorder is not None:
        faults.reach("execution.recorded")
    if postpone is not None:
        raise postpone
    return outside


async def _decide(
    session: TenantSession, registry: Registry, tenant: TenantSlug, run: Run, before: str
) -> Thinking | Reading | None:
    """Go on if there is anything to do. before: the state that this transaction found."""
    follow.after_commit(session, lambda: observe.moved_on(tenant, run.execution, before))
    return await advance(session, registry, run) if await _begin(session, run) else None


async def _begin(session: TenantSession, run: Run) -> bool:
    """Whether there is anything to do: a run that is canceled or over stays as it is."""
    execution = run.execution
    if execution.state in (ExecutionState.QUEUED, ExecutionState.WAITING):
        await move(session, execution, ExecutionState.RUNNING, started_at=execution.started_at or func.now())
    return execution.state == ExecutionState.RUNNING
