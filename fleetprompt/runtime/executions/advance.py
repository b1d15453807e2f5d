"""The part of a step that is done inside the transaction: decide, and either end, wait, or say what to do outside."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from sqlalchemy import select, update

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Installation, ToolCallRecord
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.executions import end
from fleetprompt.runtime.executions.act import GONE, Reading, Thinking, note_call, set_result, taint
from fleetprompt.runtime.executions.context import build_request
from fleetprompt.runtime.executions.decide import (
    Answer,
    CallModel,
    ReadWithTool,
    RequestDirective,
    Stop,
    Wait,
    next_action,
)
from fleetprompt.runtime.executions.record import Run, affords, load
from fleetprompt.runtime.llm import Limit, ModelRequest, sentence
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Channel, Offer, Registry, Speech
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.tools import Tool, ToolContext
from fleetprompt.runtime.tools.gate import approval_reason
from fleetprompt.runtime.tools.trust import doubt_of_trigger
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

ASK = (
    "I need someone to approve `{tool}` before I go on: {what}\n{reason} An administrator decides with"
    " `fleetprompt directives approve {id} --org {org}`, or `reject`."
)
ASK_CHARS = 1_000


async def advance(session: TenantSession, registry: Registry, run: Run) -> Thinking | Reading | None:
    """Do what comes next as far as this transaction can; None = the run waits or is over."""
    match next_action(run):
        case CallModel(step):
            return await _prepare(session, registry, run, step)
        case ReadWithTool(call):
            return Reading(call, _context(session, run))
        case RequestDirective(call):
            return await _request_or_go_on(session, registry, run, call)
        case Wait(call):
            return await _wait_or_go_on(session, registry, run, call)
        case Answer(text):
            await end.succeed(session, registry, run, text)
        case Stop(limit):
            await end.fail(
                session, registry, run, f"limit_{limit}", f"limit reached: {limit}", sentence(limit)
            )
        case other:
            assert_never(other)
    return None


async def _prepare(session: TenantSession, registry: Registry, run: Run, step: int) -> Thinking | None:
    prepared, tainted = await build_request(session, registry.tools, run)
    if tainted:
        await taint(session, run.execution.id)
    reserved_usd = _estimate(registry, run, prepared)
    if reserved_usd and not await affords(session, run, reserved_usd):
        limit = Limit.MONEY
        await end.fail(
            session, registry, run, f"limit_{limit}", "the budget is spent or reserved", sentence(limit)
        )
        return None
    call_id = await note_call(session, run, step, prepared.model, reserved_usd)
    channel = await _channel(session, registry, run)
    return Thinking(prepared, call_id, run.execution.on_fallback, run.conversation, channel)


def _estimate(registry: Registry, run: Run, prepared: ModelRequest) -> Decimal | None:
    if registry.estimate_usd is None:
        return None
    return registry.estimate_usd(prepared, fallback=run.execution.on_fallback)


async def _channel(session: TenantSession, registry: Registry, run: Run) -> Channel | None:
    if run.execution.installation_id is None:
        return None
    installation = await get(session, Installation, run.execution.installation_id)
    return None if installation is None else registry.channels.get(installation.package)


async def _wait_or_go_on(
    session: TenantSession, registry: Registry, run: Run, call: ToolCallRecord
) -> Thinking | Reading | None:
    """Wait, unless the directive has ended since the call was read: then nobody would wake this run again."""
    held = select(ToolCallRecord.state).where(ToolCallRecord.id == call.id).with_for_update()
    if await session.scalar(held) != "waiting":
        return await _again(session, registry, run)
    await move(session, run.execution, ExecutionState.WAITING)
    return None


async def _request_or_go_on(
    session: TenantSession, registry: Registry, run: Run, call: ToolCallRecord
) -> Thinking | Reading | None:
    """Ask for the directive, if it can be asked for still: the call was judged when the model made it."""
    tool = registry.tools.get(call.tool) if call.tool in run.agent.tools else None
    if tool is None or tool.directive is None:
        await set_result(session, call.id, "refused", GONE.format(tool=call.tool))
        return await _again(session, registry, run)
    try:
        await _request_directive(session, registry, run, call, tool)
    except InvalidInput as error:
        await set_result(session, call.id, "failed", str(error))
        return await _again(session, registry, run)
    return None


async def _again(session: TenantSession, registry: Registry, run: Run) -> Thinking | Reading | None:
    reloaded = await load(session, ExecutionId(run.execution.id))
    assert reloaded is not None, "its row is held"
    return await advance(session, registry, reloaded)


async def _request_directive(
    session: TenantSession, registry: Registry, run: Run, call: ToolCallRecord, tool: Tool
) -> None:
    """Ask for the directive of a side effect and wait for its end. Its key is (execution, step, index)."""
    doubt = await doubt_of_trigger(session, run.execution.signal_id)
    reason = approval_reason(run.agent, tool, tainted=run.execution.tainted, doubt=doubt)
    requested = await request(session, registry, _new_directive(run, call, tool, reason))
    values = {"state": "waiting", "directive_id": requested.id}
    await session.execute(update(ToolCallRecord).where(ToolCallRecord.id == call.id).values(values))
    told = {"tool": tool.name, "directive_id": str(requested.id), "step": call.step, "index": call.index}
    await end.tell(session, registry, run, "agent.tool.called", **told)
    if reason is not None:
        await _say_waiting(session, registry, run, call, str(requested.id), reason)
    await move(session, run.execution, ExecutionState.WAITING)


def _new_directive(run: Run, call: ToolCallRecord, tool: Tool, reason: str | None) -> NewDirective:
    execution = run.execution
    assert tool.directive is not None
    return NewDirective(
        tool.directive,
        f"execution:{execution.id}:{call.step}:{call.index}",
        call.arguments or {},
        f"{run.agent.name} calls {tool.name} for {execution.input.get('person_name') or 'a request'}.",
        Actor("agent", str(run.agent.id), run.agent.name),
        correlation_id=execution.correlation_id,
        causation_id=execution.id,
        execution_id=execution.id,
        installation_id=execution.installation_id,
        conversation_id=execution.conversation_id,
        lane=execution.lane,
        position=execution.position,
        approval_reason=reason,
    )


def _shown(call: ToolCallRecord) -> str:
    """The arguments that an approval is about, as a person reads them."""
    shown = ", ".join(f"{name} = {value}" for name, value in (call.arguments or {}).items())
    return shown if len(shown) <= ASK_CHARS else shown[:ASK_CHARS] + " ..."


async def _say_waiting(
    session: TenantSession, registry: Registry, run: Run, call: ToolCallRecord, directive_id: str, reason: str
) -> None:
    if run.conversation is None:
        return
    execution = run.execution
    await end.say(
        session,
        registry,
        run.conversation,
        ASK.format(tool=call.tool, what=_shown(call), reason=reason, id=directive_id, org=session.tenant),
        key=f"execution:{execution.id}:{call.step}:{call.index}:asks",
        actor=Actor("agent", str(run.agent.id), run.agent.name),
        summary=f"{run.agent.name} asks for approval.",
        speech=Speech.APPROVAL,
        offers=(
            Offer("Approve", f"approve {directive_id}", "primary"),
            Offer("Reject", f"reject {directive_id}", "danger"),
        ),
        correlation_id=execution.correlation_id,
        causation_id=execution.id,
        lane=execution.lane,
        position=execution.position,
    )


def _context(session: TenantSession, run: Run) -> ToolContext:
    execution = run.execution
    person = str(execution.input.get("person_id", ""))
    return ToolContext(
        session.tenant, execution.id, execution.conversation_id, execution.installation_id, person
    )
