"""Which chain an id belongs to, whatever it is the id of."""

from __future__ import annotations

import contextlib
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import (
    Directive,
    Effect,
    Execution,
    Job,
    Message,
    ModelCall,
    Signal,
    ToolCallRecord,
    WorkflowRun,
    WorkflowStep,
)
from fleetprompt.tenancy import Tenancy

Chain = Select[UUID]


async def find_correlation(tenancy: Tenancy, tenant: TenantSlug, wanted: str) -> UUID:
    """Raises NotFound."""
    wanted = wanted.strip()
    found = await _in_tenant(tenancy, tenant, wanted)
    if found is None:
        found = await _of_job(tenancy, tenant, wanted)
    if found is None:
        raise NotFound(
            f"Nothing in {tenant!r} has the id {wanted[:80]!r}.",
            "Give the id of a signal, an execution, a workflow's run, a directive, an effect, a job or a post; another organization's are not seen.",
        )
    return found


async def _in_tenant(tenancy: Tenancy, tenant: TenantSlug, wanted: str) -> UUID | None:
    as_id = _as_id(wanted)
    queries = _by_text(wanted) if as_id is None else _by_id(as_id)
    async with tenancy.session(tenant) as session:
        for query in queries:
            found = await session.scalar(query.limit(1))
            if found is not None:
                return found
    return None


def _as_id(text: str) -> UUID | None:
    with contextlib.suppress(ValueError):
        return UUID(text)
    return None


def _by_id(wanted: UUID) -> list[Chain]:
    call = select(Execution.correlation_id)
    return [
        select(Signal.correlation_id).where((Signal.id == wanted) | (Signal.correlation_id == wanted)),
        call.where((Execution.id == wanted) | (Execution.correlation_id == wanted)),
        select(Directive.correlation_id).where(
            (Directive.id == wanted) | (Directive.correlation_id == wanted)
        ),
        _of_effect(Effect.id == wanted),
        call.join(ToolCallRecord, ToolCallRecord.execution_id == Execution.id).where(
            ToolCallRecord.id == wanted
        ),
        call.join(ModelCall, ModelCall.execution_id == Execution.id).where(ModelCall.id == wanted),
        *_by_workflow(wanted),
    ]


def _by_workflow(wanted: UUID) -> list[Chain]:
    run = select(WorkflowRun.correlation_id)
    return [
        run.where(WorkflowRun.id == wanted),
        run.join(WorkflowStep, WorkflowStep.run_id == WorkflowRun.id).where(WorkflowStep.id == wanted),
    ]


def _by_text(wanted: str) -> list[Chain]:
    """An effect's key, or a post's id on the far side: what we received, or what we sent."""
    posted = Message.external_id == wanted
    return [
        _of_effect(Effect.key == wanted),
        select(Signal.correlation_id).join(Message, Message.signal_id == Signal.id).where(posted),
        select(Directive.correlation_id).join(Message, Message.directive_id == Directive.id).where(posted),
        _of_effect(Effect.receipt["external_id"].astext == wanted),
        select(Signal.correlation_id)
        .where(Signal.payload["external_id"].astext == wanted)
        .order_by(Signal.id),
    ]


def _of_effect(condition: ColumnElement[bool]) -> Chain:
    joined = select(Directive.correlation_id).join(Effect, Effect.directive_id == Directive.id)
    return joined.where(condition)


async def _of_job(tenancy: Tenancy, tenant: TenantSlug, wanted: str) -> UUID | None:
    as_id = _as_id(wanted)
    if as_id is None:
        return None
    mine = select(Job.correlation_id).where(
        Job.tenant == tenant, (Job.id == as_id) | (Job.correlation_id == as_id)
    )
    async with tenancy.database.session() as session:
        return await session.scalar(mine.limit(1))
