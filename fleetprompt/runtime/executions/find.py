"""Looking runs up, for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Agent, Execution, ModelCall, ToolCallRecord
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """All given conditions hold together. agent: by name, whatever its case."""

    state: str | None = None
    agent: str | None = None
    correlation_id: UUID | None = None
    conversation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its agent's name and each call it made, in order."""

    execution: Execution
    agent: str
    model_calls: Sequence[ModelCall] = ()
    tool_calls: Sequence[ToolCallRecord] = ()


async def list_executions(session: TenantSession, chosen: ExecutionFilter, limit: int) -> Sequence[RunRecord]:
    """The newest ones, oldest of them first; without their calls."""
    query = select(Execution, Agent.name).join(Agent).order_by(Execution.id.desc()).limit(limit)
    if chosen.state is not None:
        query = query.where(Execution.state == chosen.state)
    if chosen.agent is not None:
        query = query.where(func.lower(Agent.name) == chosen.agent.lower())
    if chosen.correlation_id is not None:
        query = query.where(Execution.correlation_id == chosen.correlation_id)
    if chosen.conversation_id is not None:
        query = query.where(Execution.conversation_id == chosen.conversation_id)
    return [RunRecord(execution, name) for execution, name in await session.execute(query)][::-1]


async def find_execution(session: TenantSession, execution_id: UUID) -> RunRecord:
    """Raises NotFound."""
    query = select(Execution, Agent.name).join(Agent).where(Execution.id == execution_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no execution {execution_id} here.", "See: fleetprompt executions list --org ..."
        )
    calls = select(ModelCall).where(ModelCall.execution_id == execution_id).order_by(ModelCall.id)
    tools = select(ToolCallRecord).where(ToolCallRecord.execution_id == execution_id)
    in_order = tools.order_by(ToolCallRecord.step, ToolCallRecord.index)
    return RunRecord(
        row[0], row[1], list(await session.scalars(calls)), list(await session.scalars(in_order))
    )
