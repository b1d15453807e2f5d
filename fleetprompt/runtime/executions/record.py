"""A run as it stands in the database, and what it has used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import Select, func, select

from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Agent, Conversation, Execution, ExecutionStep, ModelCall, ToolCallRecord
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.llm import Limit, ModelReply, reply_from_raw
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.limits import own_limits

# As the index model_calls_created has it: without the second condition it would not be used.
_PAID_TODAY = (
    ModelCall.created_at >= func.date_trunc("day", func.now(), "UTC"),
    ModelCall.cost_usd.is_not(None),
)


@dataclass(slots=True)
class Run:
    """Everything that decides what comes next."""

    execution: Execution
    agent: Agent
    conversation: Conversation | None
    limits: Limits
    replies: list[ModelReply] = field(default_factory=list)
    """The model's answers, by step."""
    calls: list[ToolCallRecord] = field(default_factory=list)
    """All tool calls, by step and index."""
    used_ms: int = 0
    """Time spent in models and tools; waiting for people does not count."""
    spent_usd: Decimal = Decimal(0)
    """What is known of this run's cost."""
    spent_today_usd: Decimal = Decimal(0)
    """What is known of the cost of this agent's runs since midnight UTC, this one included."""

    @property
    def open_calls(self) -> list[ToolCallRecord]:
        """The last step's calls that have no result yet."""
        return [call for call in self.calls if call.state in ("intended", "waiting")]

    @property
    def has_answer(self) -> bool:
        """The model wants nothing more: its last reply is the answer."""
        return bool(self.replies) and not self.replies[-1].calls and not self.open_calls

    def calls_of(self, step: int) -> Sequence[ToolCallRecord]:
        """One step's calls, by index."""
        return [call for call in self.calls if call.step == step]


async def hold(session: TenantSession, execution_id: ExecutionId) -> Run | None:
    """The run without its history, its row held until the end of the transaction; None if there is none."""
    held = select(Execution, Agent, Conversation).where(Execution.id == execution_id)
    held = held.join(Agent, Agent.id == Execution.agent_id)
    held = held.outerjoin(Conversation, Conversation.id == Execution.conversation_id)
    held = held.with_for_update(of=Execution).execution_options(populate_existing=True)
    row = (await session.execute(held)).one_or_none()
    return None if row is None else Run(row[0], row[1], row[2], Limits.stored(row[0].limits))


async def begun(session: TenantSession, execution_id: ExecutionId) -> Run:
    """A run that this very transaction made: nobody else knows of it, and it has no history."""
    execution = await session.get_one(Execution, execution_id)
    conversation = None
    if execution.conversation_id is not None:
        conversation = await session.get_one(Conversation, execution.conversation_id)
    agent = await session.get_one(Agent, execution.agent_id)
    run = Run(execution, agent, conversation, Limits.stored(execution.limits))
    await _count_use(session, run)
    return run


async def load(session: TenantSession, execution_id: ExecutionId) -> Run | None:
    """The whole run, its row held until the end of the transaction; None if there is none."""
    run = await hold(session, execution_id)
    if run is not None:
        await recall(session, run)
    return run


async def recall(session: TenantSession, run: Run) -> None:
    """Its history, for a run whose row is held; what it has used up as well, unless it can only come to its answer."""
    calls = select(ToolCallRecord).where(ToolCallRecord.execution_id == run.execution.id)
    in_order = calls.order_by(ToolCallRecord.step, ToolCallRecord.index)
    run.calls = list(await session.scalars(in_order.execution_options(populate_existing=True)))
    steps = select(ExecutionStep.reply).where(ExecutionStep.execution_id == run.execution.id)
    run.replies = [reply_from_raw(raw) for raw in await session.scalars(steps.order_by(ExecutionStep.step))]
    if not run.has_answer:
        await _count_use(session, run)


def over_limit(run: Run) -> Limit | None:
    """Which limit forbids another model call."""
    execution, limits = run.execution, run.limits
    if execution.steps >= limits.max_steps:
        return Limit.STEPS
    if execution.input_tokens + execution.output_tokens >= limits.max_tokens:
        return Limit.TOKENS
    if run.used_ms >= limits.max_seconds * 1000:
        return Limit.TIME
    if run.spent_usd > limits.max_cost_usd or run.spent_today_usd > limits.cost_usd_per_day:
        return Limit.MONEY
    return None


async def affords(session: TenantSession, run: Run, reserved_usd: Decimal) -> bool:
    """Whether a call may cost so much, beside what is spent and what other runs of this agent have reserved.

    Holds the agent's row to the end of the transaction, so that two runs cannot both take the last of the budget.
    """
    await session.execute(select(Agent.id).where(Agent.id == run.agent.id).with_for_update(key_share=True))
    under_way = select(func.coalesce(func.sum(ModelCall.cost_usd), 0)).where(
        ModelCall.outcome == "started", *_PAID_TODAY
    )
    of_agent = under_way.join(Execution, Execution.id == ModelCall.execution_id)
    others = Decimal(await session.scalar(of_agent.where(Execution.agent_id == run.agent.id)) or 0)
    spent_today = await _spent_today(session, run.execution)
    fits_run = run.spent_usd + reserved_usd <= run.limits.max_cost_usd
    fits_agent = spent_today + others + reserved_usd <= run.limits.cost_usd_per_day
    return fits_run and fits_agent and await _fits_organization(session, reserved_usd)


async def _fits_organization(session: TenantSession, reserved_usd: Decimal) -> bool:
    """Agents do not wait for each other here: the sum may exceed the limit by what is reserved at one instant."""
    spent = await session.scalar(select(func.coalesce(func.sum(ModelCall.cost_usd), 0)).where(*_PAID_TODAY))
    return Decimal(spent or 0) + reserved_usd <= (await own_limits(session)).cost_usd_per_day


async def _count_use(session: TenantSession, run: Run) -> None:
    """Milliseconds, and dollars as far as prices are known."""
    of_run = ModelCall.execution_id == run.execution.id
    used = select(
        select(func.coalesce(func.sum(ModelCall.latency_ms), 0)).where(of_run).scalar_subquery(),
        select(func.coalesce(func.sum(ModelCall.cost_usd), 0)).where(of_run).scalar_subquery(),
        _spent(run.execution).scalar_subquery(),
    )
    model_ms, spent, today = (await session.execute(used)).one()
    run.used_ms = int(model_ms) + _used_by_tools_ms(run.calls)
    run.spent_usd, run.spent_today_usd = Decimal(spent), Decimal(today)


def _used_by_tools_ms(calls: Sequence[ToolCallRecord]) -> int:
    """The time of those that read. All calls of a step are recorded at once, but each begins at the end of the last."""
    total_ms, step, free_at = 0.0, -1, None
    for call in calls:
        free_at = call.created_at if free_at is None or call.step != step else max(free_at, call.created_at)
        step, began_at = call.step, free_at
        if call.finished_at is None:
            continue
        free_at = max(free_at, call.finished_at)
        if call.directive_id is None:
            total_ms += (free_at - began_at).total_seconds() * 1000
    return int(total_ms)


async def _spent_today(session: TenantSession, execution: Execution) -> Decimal:
    return Decimal(await session.scalar(_spent(execution)) or 0)


def _spent(execution: Execution) -> Select[Decimal]:
    """A run with a call of unknown price has no sum of its own: there its known calls are added up."""
    calls = select(func.sum(ModelCall.cost_usd)).where(ModelCall.execution_id == Execution.id)
    known = func.coalesce(Execution.cost_usd, calls.correlate(Execution).scalar_subquery())
    return select(func.coalesce(func.sum(known), 0)).where(
        Execution.agent_id == execution.agent_id,
        Execution.created_at >= func.date_trunc("day", func.now(), "UTC"),
    )
