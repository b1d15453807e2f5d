"""A run as it stands in the database, and what it has used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import func, select

from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Agent, Conversation, Execution, Installation, ModelCall, ToolCallRecord
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.llm import Limit, ModelReply, reply_from_raw
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.limits import own_limits
from fleetprompt.tenancy.rows import Rows, adopt_each, columns, get

# As the index model_calls_created has it: without the second condition it would not be used.
_PAID_TODAY = (
    ModelCall.created_at >= func.date_trunc("day", func.now(), "UTC"),
    ModelCall.cost_usd.is_not(None),
)

# ruff: noqa: S608 - names of the model
_HOLD = Sql(
    f"select {columns(Execution, 'e')}, {columns(Agent, 'a')}, {columns(Conversation, 'c')},"
    f" {columns(Installation, 'i')} from executions e"
    " join agents a on a.id = e.agent_id left join conversations c on c.id = e.conversation_id"
    " left join installations i on i.id = c.installation_id"
    " where e.id = :id for update of e"
)
_CALLS = Rows(
    ToolCallRecord, "select {columns} from tool_calls where execution_id = :execution_id order by step, index"
)
_REPLIES = Sql("select reply from execution_steps where execution_id = :execution_id order by step")
# A run with a call of unknown price has no sum of its own: there its known calls are added up.
_TODAY = """
select coalesce(sum(coalesce(e.cost_usd, (select sum(m.cost_usd) from model_calls m where m.execution_id = e.id))), 0)
from executions e where e.agent_id = :agent_id and e.created_at >= date_trunc('day', now(), 'UTC')
"""
_SPENT_TODAY = Sql(_TODAY)
_USED = Sql(
    "select coalesce(sum(latency_ms), 0), coalesce(sum(cost_usd), 0),"
    f" ({_TODAY}) from model_calls where execution_id = :execution_id"
)


@dataclass(slots=True)
class Run:
    """Everything that decides what comes next."""

    execution: Execution
    agent: Agent
    conversation: Conversation | None
    limits: Limits
    installation: Installation | None = None
    """Where its conversation is; held, so that nobody reads it again."""
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
    rows = await session.fetch(_HOLD, {"id": execution_id})
    if not rows:
        return None
    execution, agent, conversation, installation = adopt_each(
        session, tuple(rows[0]), Execution, Agent, Conversation, Installation
    )
    return Run(execution, agent, conversation, Limits.stored(execution.limits), installation)


async def begun(session: TenantSession, execution_id: ExecutionId) -> Run:
    """A run that this very transaction made: nobody else knows of it, and it has no history."""
    execution = await get(session, Execution, execution_id)
    assert execution is not None
    conversation = None
    if execution.conversation_id is not None:
        conversation = await get(session, Conversation, execution.conversation_id)
    agent = await get(session, Agent, execution.agent_id)
    assert agent is not None
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
    of_run, execution = {"execution_id": run.execution.id}, run.execution
    run.calls = await _CALLS.all(session, of_run) if execution.tool_calls else []
    if len(run.replies) < execution.steps:
        run.replies = [reply_from_raw(row[0]) for row in await session.fetch(_REPLIES, of_run)]
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
    of_run = {"execution_id": run.execution.id, "agent_id": run.execution.agent_id}
    [(model_ms, spent, today)] = await session.fetch(_USED, of_run)
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
    [(spent,)] = await session.fetch(_SPENT_TODAY, {"agent_id": execution.agent_id})
    return Decimal(spent)
