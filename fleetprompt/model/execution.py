"""Executions: the durable record of a run, each of its steps, model calls and tool calls."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.agent import Agent
from fleetprompt.model.base import JsonObject, TenantBase


class Execution(TenantBase):
    """One run of one agent for one trigger. cost_usd is NULL while any call's price is unknown."""

    __tablename__ = "executions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey(Agent.id))
    conversation_id: Mapped[UUID | None]
    installation_id: Mapped[UUID | None]
    signal_id: Mapped[UUID | None]  # the trigger
    directive_id: Mapped[UUID | None]  # the reply
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    correlation_id: Mapped[UUID]
    state: Mapped[str]
    input: Mapped[JsonObject]
    output: Mapped[str | None]
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    model: Mapped[str]
    limits: Mapped[JsonObject]
    steps: Mapped[int] = mapped_column(server_default="0")
    tool_calls: Mapped[int] = mapped_column(server_default="0")
    input_tokens: Mapped[int] = mapped_column(server_default="0")
    output_tokens: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[Decimal | None] = mapped_column(server_default="0")
    model_failures: Mapped[int] = mapped_column(server_default="0")
    on_fallback: Mapped[bool] = mapped_column(server_default="false")
    round: Mapped[int] = mapped_column(server_default="0")  # how often a person had it tried again
    shortened: Mapped[int] = mapped_column(server_default="0")  # how often the context was cut in half
    tainted: Mapped[bool] = mapped_column(server_default="false")
    lane: Mapped[str | None]
    position: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ExecutionStep(TenantBase):
    """A model's answer, stored before anything is done about it."""

    __tablename__ = "execution_steps"

    execution_id: Mapped[UUID] = mapped_column(ForeignKey(Execution.id, ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    reply: Mapped[JsonObject]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ModelCall(TenantBase):
    """One call of a model, noted before it is made: one left `started` may have been paid for."""

    __tablename__ = "model_calls"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    execution_id: Mapped[UUID] = mapped_column(ForeignKey(Execution.id, ondelete="CASCADE"))
    step: Mapped[int]
    model: Mapped[str]
    outcome: Mapped[str]  # started, answered, or the kind of failure
    detail: Mapped[str | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ToolCallRecord(TenantBase):
    """A tool call: intended before it is run, and what came of it. Its key is (execution, step, index)."""

    __tablename__ = "tool_calls"
    __table_args__ = (UniqueConstraint("execution_id", "step", "index"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    execution_id: Mapped[UUID] = mapped_column(ForeignKey(Execution.id, ondelete="CASCADE"))
    step: Mapped[int]
    index: Mapped[int]
    tool: Mapped[str]
    arguments: Mapped[JsonObject | None]
    side_effect: Mapped[str]
    state: Mapped[str]  # intended, waiting, done, failed, refused
    result: Mapped[str | None]
    directive_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
