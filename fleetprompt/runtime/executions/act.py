"""The part of a step that is done outside any transaction: one model call, or one tool that only reads.

Each returns the recorder that stores what came back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, update

from fleetprompt.database.driver import Sql
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.json import clean, clean_text
from fleetprompt.model import Conversation, Execution, ToolCallRecord
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.executions import observe
from fleetprompt.runtime.executions.record import Run
from fleetprompt.runtime.executions.store import store_failure, store_reply, store_usage
from fleetprompt.runtime.jobs.work import Postpone
from fleetprompt.runtime.llm import (
    FailureKind,
    ModelBoundary,
    ModelFailure,
    ModelReply,
    ModelRequest,
    reply_from_raw,
)
from fleetprompt.runtime.registry import Channel, Registry
from fleetprompt.runtime.tools import Tool, ToolContext, ToolFailure
from fleetprompt.runtime.tools.tool import RESULT_CHARS
from fleetprompt.telemetry import span
from fleetprompt.tenancy import TenantSession

TYPING_EVERY_S = 4.0
_NOTE = Sql(
    "insert into model_calls (id, execution_id, step, model, outcome, cost_usd)"
    " values (:id, :execution_id, :step, :model, 'started', :cost_usd)"
)
GONE = "There is no longer a tool {tool!r} here."


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model call to be made."""

    request: ModelRequest
    call_id: UUID
    on_fallback: bool
    conversation: Conversation | None
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A read-only tool to be run."""

    call: ToolCallRecord
    context: ToolContext


async def note_call(
    session: TenantSession, run: Run, step: int, model: str, reserved_usd: Decimal | None
) -> UUID:
    """A model call is about to be made: one that stays `started` may have been paid for.

    Until it is settled its cost is what was reserved for it.
    """
    call_id = new_id()
    noted = {
        "id": call_id,
        "execution_id": run.execution.id,
        "step": step,
        "model": model,
        "cost_usd": reserved_usd,
    }
    await session.fetch(_NOTE, noted)
    return call_id


async def think(
    registry: Registry, models: ModelBoundary, tenant: TenantSlug, thinking: Thinking
) -> Callable[[TenantSession, Run], Awaitable[Postpone | None]]:
    """Make the call; a failure is recorded like an answer."""
    began = clock.monotonic_s()
    with span("model call", org=tenant, model=thinking.request.model):
        async with _typing(tenant, thinking):
            outcome = await _ask(models, thinking)
    latency_ms = int((clock.monotonic_s() - began) * 1000)
    observe.model_called(tenant, thinking.request.model, outcome, latency_ms)
    faults.reach("execution.model_called")

    async def record(session: TenantSession, run: Run) -> Postpone | None:
        call_id, is_over = thinking.call_id, run.execution.state != ExecutionState.RUNNING
        if isinstance(outcome, ModelReply) and not is_over:
            await store_reply(session, registry, run, call_id, outcome, latency_ms)
            return None
        await store_usage(session, run, call_id, outcome, latency_ms)
        if isinstance(outcome, ModelReply) or is_over:
            return None
        return await store_failure(session, registry, run, outcome, has_fallback=models.has_fallback)

    return record


async def _ask(models: ModelBoundary, thinking: Thinking) -> ModelReply | ModelFailure:
    """What the model says is normalised once, before it is stored; saying nothing is a failure."""
    try:
        reply = await models.respond(thinking.request, fallback=thinking.on_fallback)
    except ModelFailure as failure:
        return failure
    if not reply.text.strip() and not reply.calls:
        nothing = "the model answered nothing"
        return ModelFailure(FailureKind.MALFORMED, nothing, usage=reply.usage, cost_usd=reply.cost_usd)
    return reply_from_raw(clean(reply.raw))


async def read(
    registry: Registry, reading: Reading
) -> Callable[[TenantSession, Run], Awaitable[Postpone | None]]:
    """Run a read-only tool; it taints the run if its result may carry strangers' text."""
    tool = registry.tools.get(reading.call.tool)
    state, content = await _result(tool, reading)
    faults.reach("execution.tool_ran")

    async def record(session: TenantSession, run: Run) -> None:
        if run.execution.state != ExecutionState.RUNNING:
            return
        await set_result(session, reading.call.id, state, content)
        if tool is not None and tool.taints:
            await taint(session, run.execution.id)

    return record


async def _result(tool: Tool | None, reading: Reading) -> tuple[str, str]:
    """State and content. The call was judged earlier, perhaps by another version: its tool may be gone since."""
    if tool is None or tool.run is None:
        return "failed", GONE.format(tool=reading.call.tool)
    try:
        arguments = tool.arguments.model_validate(reading.call.arguments)
        result = await asyncio.wait_for(tool.run(reading.context, arguments), tool.timeout_s)
    except ValidationError:
        return "failed", f"{tool.name} no longer takes these arguments."
    except ToolFailure as failure:
        return "failed", str(failure)
    except TimeoutError:
        return "failed", f"{tool.name} did not answer within {tool.timeout_s:.0f} s."
    return "done", result if isinstance(result, str) else json.dumps(clean(result), default=str)


async def taint(session: TenantSession, execution_id: UUID) -> None:
    """From now on this run has read what third parties wrote."""
    await session.execute(update(Execution).where(Execution.id == execution_id).values(tainted=True))


async def set_result(session: TenantSession, call_id: UUID, state: str, content: str) -> None:
    """What came of a tool call: done, failed or refused."""
    content = clean_text(content)
    kept = content if len(content) <= RESULT_CHARS else content[:RESULT_CHARS] + " [cut]"
    values = {"state": state, "result": kept, "finished_at": func.clock_timestamp()}
    await session.execute(update(ToolCallRecord).where(ToolCallRecord.id == call_id).values(values))


@contextlib.asynccontextmanager
async def _typing(tenant: TenantSlug, thinking: Thinking) -> AsyncIterator[None]:
    """Show that an answer is being written, as long as the model thinks."""
    channel, conversation = thinking.channel, thinking.conversation
    if channel is None or channel.typing is None or conversation is None:
        yield
        return
    show = asyncio.create_task(_keep_typing(channel.typing, tenant, conversation), name="typing")
    try:
        yield
    finally:
        show.cancel()
        await asyncio.gather(show, return_exceptions=True)  # a cancellation of ours is not swallowed


async def _keep_typing(
    typing: Callable[[TenantSlug, Conversation], Awaitable[None]],
    tenant: TenantSlug,
    conversation: Conversation,
) -> None:
    while True:
        with contextlib.suppress(Exception):  # an ornament: whatever is wrong will show at the post
            await typing(tenant, conversation)
        await asyncio.sleep(TYPING_EVERY_S)
