"""Making and changing workflows: what the command line and packages call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Workflow, WorkflowVersion
from fleetprompt.model.states import WorkflowState
from fleetprompt.runtime.agents.manage import find_agent
from fleetprompt.runtime.moves import id_text, move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.workflows.check import check, nearest
from fleetprompt.runtime.workflows.definition import Definition
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class Added:
    """change: added, changed (a new version), or unchanged."""

    workflow: Workflow
    version: WorkflowVersion
    change: str


async def add_workflow(
    session: TenantSession,
    registry: Registry,
    definition: Definition,
    by: Actor,
    *,
    installation_id: UUID | None = None,
) -> Added:
    """Keep a definition under its name: once for the same content, as a new version for another.

    Runs that go on keep the version by which they began. installation_id: of the package that provides it.
    Raises InvalidInput for what does not fit this organization, Conflict for a workflow of somebody else.
    """
    check(registry, definition)
    await _check_agents(session, definition)
    made = await _made(session, definition, installation_id)
    workflow = await _held(session, definition.name)
    if workflow.installation_id != installation_id:
        raise Conflict(f"The workflow {workflow.name!r} belongs to a package.", "Give yours another name.")
    newest = None if made else await version_of(session, workflow.id, workflow.version)
    unchanged = newest is not None and newest.digest == definition.digest()
    number = workflow.version if made or unchanged else workflow.version + 1
    if definition.version not in (None, number):
        raise InvalidInput(f"version: this would become version {number}.", "Write that, or leave it out.")
    if newest is not None and unchanged:
        return Added(workflow, newest, "unchanged")
    kept = await _keep(session, workflow, definition, number)
    change = "added" if made else "changed"
    await _tell(session, registry, workflow, f"workflow.{change}", by, digest=kept.digest)
    return Added(workflow, kept, change)


async def set_workflow_state(
    session: TenantSession, registry: Registry, name: str, by: Actor, state: WorkflowState
) -> Workflow:
    """Pause, resume or archive; what it is already, it stays. Runs that go on are not touched."""
    workflow = await find_workflow(session, name)
    if workflow.state != state:
        await move(session, workflow, state, updated_at=func.now())
        verb = "resumed" if state == WorkflowState.ACTIVE else state.value
        await _tell(session, registry, workflow, f"workflow.{verb}", by)
    return workflow


async def list_workflows(session: TenantSession) -> Sequence[Workflow]:
    """All but the archived, by name."""
    alive = select(Workflow).where(Workflow.state != WorkflowState.ARCHIVED)
    return list(await session.scalars(alive.order_by(func.lower(Workflow.name))))


async def find_workflow(session: TenantSession, name: str) -> Workflow:
    """By name, whatever its case. Raises NotFound, naming the nearest."""
    workflows = {workflow.name.casefold(): workflow for workflow in await list_workflows(session)}
    if name.casefold() not in workflows:
        known = [workflow.name for workflow in workflows.values()]
        raise NotFound(f"There is no workflow {name!r}.", nearest(name, known))
    return workflows[name.casefold()]


async def version_of(session: TenantSession, workflow_id: UUID, version: int) -> WorkflowVersion:
    """One of its versions; they stay for as long as the workflow."""
    return await session.get_one(WorkflowVersion, (workflow_id, version))


async def _check_agents(session: TenantSession, definition: Definition) -> None:
    for number, step in enumerate(definition.steps):
        if step.agent is not None:
            try:
                await find_agent(session, step.agent)
            except NotFound as error:
                raise InvalidInput(f"steps[{number}].agent: {error.what}", error.advice) from error


async def _made(session: TenantSession, definition: Definition, installation_id: UUID | None) -> bool:
    """Whether the name was free. Of two who take it at once, one gets it and the other waits for that."""
    row = {
        "id": new_id(),
        "name": definition.name,
        "state": WorkflowState.ACTIVE,
        "version": 1,
        "signal_pattern": definition.on,
        "installation_id": installation_id,
    }
    inserted = insert(Workflow).values(row).on_conflict_do_nothing().returning(Workflow.id)
    return (await session.scalars(inserted)).one_or_none() is not None


async def _held(session: TenantSession, name: str) -> Workflow:
    query = select(Workflow).where(
        func.lower(Workflow.name) == func.lower(name), Workflow.state != WorkflowState.ARCHIVED
    )
    workflow = await session.scalar(query.with_for_update())
    assert workflow is not None, "it was there a moment ago"
    return workflow


async def _keep(
    session: TenantSession, workflow: Workflow, definition: Definition, number: int
) -> WorkflowVersion:
    values = {"version": number, "signal_pattern": definition.on, "updated_at": func.now()}
    changed = update(Workflow).where(Workflow.id == workflow.id).values(values).returning(Workflow)
    await session.scalars(changed.execution_options(synchronize_session=False, populate_existing=True))
    kept = WorkflowVersion(workflow_id=workflow.id, version=number)
    kept.digest, kept.definition = definition.digest(), definition.stored()
    session.add(kept)
    await session.flush()
    await session.refresh(kept)
    return kept


async def _tell(
    session: TenantSession, registry: Registry, workflow: Workflow, name: str, by: Actor, **more: Any
) -> None:
    payload = {
        "workflow_id": str(workflow.id),
        "workflow": workflow.name,
        "version": workflow.version,
        "installation_id": id_text(workflow.installation_id),
        **more,
    }
    await emit(session, registry, NewSignal(name, payload, by))
