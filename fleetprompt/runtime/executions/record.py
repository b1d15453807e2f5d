"""A run as it stands in the database, and what it has used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select

from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Agent, Conversation, Execution, ExecutionStep, ModelCall, ToolCallRecord
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.llm import Limit, ModelReply, reply_from_raw
from fleetprompt.tenancy import TenantSession


@dataclass(slots=True)
class Run:
    """Everything that decides what comes next."""

    execution: Execution
    agent: Agent
    conversation: Conversation | None
    limits: Limits
    replies: list[ModelReply]
    """The model's answers, by step."""
    calls: list[ToolCallRecord]
    """All tool calls, by step and index."""
    used_ms: int
    """Time spent in models and tools; waiting for people does not count."""
    spent_today_usd: Decimal
    """What this agent's runs cost since midnight UTC, this one included."""

    @property
    def open_calls(self) -> list[ToolCallRecord]:
        """The last step's calls that have no result yet."""
        return [call for call in self.calls if call.state in ("intended", "waiting")]

    def calls_of(self, step: int) -> Sequence[ToolCallRecord]:
        """One step's calls, by index."""
        return [call for call in self.calls if call.step == step]


async def load(session: TenantSession, execution_id: ExecutionId) -> Run | None:
    """The run, its row held until the end of the transaction; None if there is none."""
    held = select(Execution).where(Execution.id == execution_id).with_for_update()
    execution = await session.scalar(held.execution_options(populate_existing=True))
    if execution is None:
        return None
    conversation = None
    if execution.conversation_id is not None:
        conversation = await session.get(Conversation, execution.conversation_id)
    calls = select(ToolCallRecord).where(ToolCallRecord.execution_id == execution_id)
    steps = (
        select(ExecutionStep).where(ExecutionStep.execution_id == execution_id).order_by(ExecutionStep.step)
    )
    in_order = calls.order_by(ToolCallRecord.step, ToolCallRecord.index)
    records = list(await session.scalars(in_order.execution_options(populate_existing=True)))
    return Run(
        execution=execution,
        agent=await session.get_one(Agent, execution.agent_id),
        conversation=conversation,
        limits=Limits.model_validate(execution.limits),
        replies=[reply_from_raw(step.reply) for step in await session.scalars(steps)],
        calls=records,
        used_ms=await _used_ms(session, execution_id, records),
        spent_today_usd=await _spent_today(session, execution),
    )


def over_limit(run: Run) -> Limit | None:
    """Which limit forbids another model call."""
    execution, limits = run.execution, run.limits
    if execution.steps >= limits.max_steps:
        return Limit.STEPS
    if execution.input_tokens + execution.output_tokens >= limits.max_tokens:
        return Limit.TOKENS
    if run.used_ms >= limits.max_seconds * 1000:
        return Limit.TIME
    too_dear = execution.cost_usd is not None and execution.cost_usd > limits.max_cost_usd
    if too_dear or run.spent_today_usd > limits.cost_usd_per_day:
        return Limit.MONEY
    return None


async def _used_ms(session: TenantSession, execution_id: ExecutionId, calls: Sequence[ToolCallRecord]) -> int:
    thinking = select(func.coalesce(func.sum(ModelCall.latency_ms), 0))
    model_ms = await session.scalar(thinking.where(ModelCall.execution_id == execution_id))
    tool_ms = sum(_reading_ms(call) for call in calls)
    return int(model_ms or 0) + tool_ms


def _reading_ms(call: ToolCallRecord) -> int:
    if call.finished_at is None or call.directive_id is not None:
        return 0
    return int((call.finished_at - call.created_at).total_seconds() * 1000)


async def _spent_today(session: TenantSession, execution: Execution) -> Decimal:
    today = func.date_trunc("day", func.timezone("UTC", func.now()))
    spent = select(func.coalesce(func.sum(Execution.cost_usd), 0)).where(
        Execution.agent_id == execution.agent_id, func.timezone("UTC", Execution.created_at) >= today
    )
    return Decimal(await session.scalar(spent) or 0)
