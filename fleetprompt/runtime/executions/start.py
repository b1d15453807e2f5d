"""Beginning a run: once for each trigger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import ExecutionId, new_id
from fleetprompt.model import Agent, Execution
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.jobs.follow import follow_up, keep
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import insert


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What an agent is to do. idempotency_key: one run for one trigger, however often it is seen.

    input: {"text": the request, "author_kind", "person_id", "person_name", "sent_at_ms", "subject", ...}. actor: who asks.
    tainted: the request itself comes from a third party.
    """

    agent: Agent
    idempotency_key: str
    input: Mapping[str, Any]
    correlation_id: UUID
    actor: Actor
    signal_id: UUID | None = None
    conversation_id: UUID | None = None
    installation_id: UUID | None = None
    lane: str | None = None
    position: int = 0
    tainted: bool = False


async def start(session: TenantSession, registry: Registry, new: NewExecution) -> tuple[ExecutionId, bool]:
    """Record the run and enqueue it, in the caller's transaction; returns its id and whether it is new."""
    row = _row(new)
    execution = await insert(session, Execution, row, "on conflict (idempotency_key) do nothing")
    if execution is None:
        known = select(Execution.id).where(Execution.idempotency_key == new.idempotency_key)
        return ExecutionId((await session.scalars(known)).one()), False
    keep(session, execution, new.agent)
    await follow_up(session, _run_job(row["id"], new.lane, new.position, new.correlation_id))
    await emit(
        session,
        registry,
        NewSignal(
            "agent.execution.requested",
            {"execution_id": str(row["id"]), "agent_id": str(new.agent.id), "agent": new.agent.name},
            new.actor,
            correlation_id=new.correlation_id,
            causation_id=new.signal_id,
            installation_id=new.installation_id,
            conversation_id=new.conversation_id,
        ),
    )
    return ExecutionId(row["id"]), True


async def enqueue_run(
    session: TenantSession, execution_id: UUID, lane: str | None, position: int, correlation_id: UUID
) -> None:
    """The job that takes the run on from wherever it stands."""
    await enqueue(session, _run_job(execution_id, lane, position, correlation_id))


def _run_job(execution_id: UUID, lane: str | None, position: int, correlation_id: UUID) -> NewJob:
    return NewJob(
        "execution.run",
        {"execution_id": str(execution_id)},
        lane=lane,
        position=position,
        unique_key=f"execution:{execution_id}",
        correlation_id=correlation_id,
    )


def _row(new: NewExecution) -> dict[str, Any]:
    limits = Limits.stored(new.agent.limits)
    return {
        "id": new_id(),
        "agent_id": new.agent.id,
        "conversation_id": new.conversation_id,
        "installation_id": new.installation_id,
        "signal_id": new.signal_id,
        "idempotency_key": new.idempotency_key,
        "correlation_id": new.correlation_id,
        "state": ExecutionState.QUEUED,
        "input": dict(new.input),
        "model": new.agent.model or "",
        "limits": limits.model_dump(mode="json"),
        "tainted": new.tainted,
        "lane": new.lane,
        "position": new.position,
    }
