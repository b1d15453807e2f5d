"""Workflows that a package provides, and how one of them is retired."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, exists, func, null, select, update

from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import Workflow, WorkflowRun, WorkflowVersion
from fleetprompt.model.states import WorkflowRunState, WorkflowState
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.workflows.decide import cancel_run
from fleetprompt.runtime.workflows.definition import Definition
from fleetprompt.tenancy import TenantSession

OPEN = (WorkflowRunState.QUEUED, WorkflowRunState.RUNNING, WorkflowRunState.WAITING)


async def workflows_of(session: TenantSession, installation_id: UUID) -> Sequence[Workflow]:
    """Those that an installation provides, held, by name."""
    query = select(Workflow).where(Workflow.installation_id == installation_id).order_by(Workflow.name)
    found = await session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return list(found)


async def users_of_agent(
    session: TenantSession, name: str, without: UUID | None = None
) -> Sequence[tuple[str, UUID | None]]:
    """(workflow, its installation) of each that asks this agent, and is not of that installation."""
    newest = select(Workflow, WorkflowVersion).join(
        WorkflowVersion,
        (WorkflowVersion.workflow_id == Workflow.id) & (WorkflowVersion.version == Workflow.version),
    )
    found = list[tuple[str, UUID | None]]()
    alive = newest.where(Workflow.state != WorkflowState.ARCHIVED).order_by(Workflow.name)
    for workflow, version in await session.execute(alive):
        steps = Definition.model_validate(version.definition).steps
        asks = any((step.agent or "").casefold() == name.casefold() for step in steps)
        if asks and (without is None or workflow.installation_id != without):
            found.append((workflow.name, workflow.installation_id))
    return found


async def retire(session: TenantSession, registry: Registry, workflow: Workflow, by: Actor) -> None:
    """Its runs end. It goes altogether, or stays archived and nobody's while runs of it are on record."""
    open_ = select(WorkflowRun.id).where(WorkflowRun.workflow_id == workflow.id, WorkflowRun.state.in_(OPEN))
    for run_id in (await session.scalars(open_.order_by(WorkflowRun.id))).all():
        with contextlib.suppress(Conflict):  # it has ended meanwhile
            await cancel_run(session, registry, run_id, by)
    if workflow.state != WorkflowState.ARCHIVED:
        values = {"installation_id": null(), "updated_at": func.now()}
        await move(session, workflow, WorkflowState.ARCHIVED, **values)
        payload = {"workflow_id": str(workflow.id), "workflow": workflow.name, "version": workflow.version}
        await emit(session, registry, NewSignal("workflow.archived", payload, by))
    else:
        freed = update(Workflow).where(Workflow.id == workflow.id).values(installation_id=null())
        await session.execute(freed.execution_options(synchronize_session=False))
    unused = delete(Workflow).where(
        Workflow.id == workflow.id, ~exists().where(WorkflowRun.workflow_id == workflow.id)
    )
    await session.execute(unused.execution_options(synchronize_session=False))
    session.expunge(workflow)
