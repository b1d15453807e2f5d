"""Storing what a model call came to: its answer with every tool call judged, or its failure with what follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, assert_never
from uuid import UUID

from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Execution, ToolCallRecord
from fleetprompt.runtime.executions import end
from fleetprompt.runtime.executions.record import Run
from fleetprompt.runtime.jobs.work import Postpone
from fleetprompt.runtime.llm import (
    FallBack,
    GiveUp,
    ModelFailure,
    ModelReply,
    RetryIn,
    ShortenContext,
    ToolCall,
    decide,
)
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.tools import Tool
from fleetprompt.runtime.tools.gate import Allowed, admit
from fleetprompt.runtime.tools.standing import Standing, standing
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import refresh

# What a call did not tell of itself stays as it was noted; its cost is no reservation any more.
_SETTLED = (
    "update model_calls set outcome = :outcome, model = coalesce(:model, model), detail = coalesce(:detail, detail),"
    " input_tokens = coalesce(:call_input, input_tokens), output_tokens = coalesce(:call_output, output_tokens),"
    " cost_usd = :call_cost, latency_ms = :latency_ms where id = :call_id"
)
_COUNTED = (
    "update executions set input_tokens = :input_tokens, output_tokens = :output_tokens, cost_usd = :cost_usd"
)
# ruff: noqa: S608 - constants of this very file
_STORE_USAGE = Sql(f"with settled as ({_SETTLED}) {_COUNTED} where id = :execution_id")
_STORE_REPLY = Sql(
    f"with settled as ({_SETTLED}), added as (insert into execution_steps (execution_id, step, model, reply)"
    " values (:execution_id, :step, :model, :reply))"
    f" {_COUNTED}, steps = :steps, tool_calls = :tool_calls, model = :run_model, model_failures = :model_failures"
    " where id = :execution_id"
)
MAX_CALLS_PER_STEP = 16


async def store_usage(
    session: TenantSession, run: Run, call_id: UUID, outcome: ModelReply | ModelFailure, latency_ms: int
) -> None:
    """What the call came to and cost; an answer of no use is paid for too, and so is one that nobody waits for."""
    usage = _usage(run.execution, outcome)
    settled = _settled(run.execution, call_id, outcome, latency_ms)
    await session.fetch(_STORE_USAGE, {**settled, **usage})
    refresh(run.execution, usage.items())


async def store_reply(
    session: TenantSession, registry: Registry, run: Run, call_id: UUID, reply: ModelReply, latency_ms: int
) -> None:
    """The answer and what it cost, and each tool call that it asks for: judged now, done later."""
    execution = run.execution
    settled = _settled(execution, call_id, reply, latency_ms)
    added = {"step": execution.steps, "reply": json.dumps(reply.raw)}
    # The fallback's name means nothing to the first model, should a person retry this run.
    model = execution.model or ("" if execution.on_fallback else reply.model)
    session.add_all(await _judged(session, registry, run, reply.calls))
    counted = {
        **_usage(execution, reply),
        "steps": execution.steps + 1,
        "tool_calls": execution.tool_calls + len(reply.calls),
        "model_failures": 0,
    }
    await session.fetch(_STORE_REPLY, {**settled, **added, **counted, "run_model": model})
    refresh(execution, [*counted.items(), ("model", model)])
    if execution.steps == 1 and not reply.calls:
        run.replies = [reply]  # that is all there is
    await session.flush()


def _settled(
    execution: Execution, call_id: UUID, outcome: ModelReply | ModelFailure, latency_ms: int
) -> dict[str, Any]:
    usage = outcome.usage
    if isinstance(outcome, ModelReply):
        became: dict[str, Any] = {"outcome": "answered", "model": outcome.model, "detail": None}
    else:
        became = {"outcome": outcome.kind, "model": None, "detail": outcome.detail[:500]}
    return {
        **became,
        "execution_id": execution.id,
        "call_id": call_id,
        "call_input": None if usage is None else usage.input_tokens,
        "call_output": None if usage is None else usage.output_tokens,
        "call_cost": None if usage is None else outcome.cost_usd,
        "latency_ms": latency_ms,
    }


def _usage(execution: Execution, outcome: ModelReply | ModelFailure) -> dict[str, Any]:
    """What the run has used with this call. Its row is held, so that nobody else adds meanwhile."""
    usage, cost_usd = outcome.usage, outcome.cost_usd
    if usage is None:
        return {name: getattr(execution, name) for name in ("input_tokens", "output_tokens", "cost_usd")}
    is_known = cost_usd is not None and execution.cost_usd is not None
    return {
        "input_tokens": execution.input_tokens + usage.input_tokens,
        "output_tokens": execution.output_tokens + usage.output_tokens,
        "cost_usd": (execution.cost_usd or 0) + (cost_usd or Decimal(0)) if is_known else None,
    }


async def store_failure(
    session: TenantSession,
    registry: Registry,
    run: Run,
    failure: ModelFailure,
    *,
    has_fallback: bool,
) -> Postpone | None:
    """Do what the policy says: wait (the returned Postpone), fall back, shorten, or give up."""
    execution = run.execution
    attempt = execution.model_failures + 1
    match decide(failure, attempt, has_fallback, execution.on_fallback):
        case RetryIn(seconds):
            execution.model_failures = attempt
            await session.flush()
            return Postpone(seconds, f"model: {failure.kind}")
        case FallBack():
            execution.model_failures, execution.on_fallback = 0, True
        case ShortenContext():
            execution.model_failures, execution.shortened = attempt, execution.shortened + 1
        case GiveUp(sentence):
            await session.flush()
            await end.fail(session, registry, run, f"model_{failure.kind}", failure.detail[:500], sentence)
        case other:
            assert_never(other)
    await session.flush()
    return None


async def _judged(
    session: TenantSession, registry: Registry, run: Run, calls: Sequence[ToolCall]
) -> list[ToolCallRecord]:
    called = [registry.tools[call.name] for call in calls if call.name in registry.tools]
    known = await standing(session, registry, run.agent, run.execution, called)
    records = list[ToolCallRecord]()
    for call in calls:
        records.append(_judge(run, registry.tools, call, known))
        if known.calls_left is not None:
            known = replace(known, calls_left=known.calls_left - 1)
    return records


def _judge(run: Run, tools: Mapping[str, Tool], call: ToolCall, known: Standing) -> ToolCallRecord:
    step = run.execution.steps
    record = ToolCallRecord(id=new_id(), execution_id=run.execution.id, step=step, index=call.index)
    record.tool, record.side_effect, record.arguments = call.name[:200], "none", call.arguments
    verdict = admit(run.agent, tools, call, known)
    if call.index >= MAX_CALLS_PER_STEP:
        record.state, record.result = "refused", f"Only {MAX_CALLS_PER_STEP} calls are allowed at a time."
    elif isinstance(verdict, Allowed):
        record.state, record.arguments = "intended", verdict.arguments
        record.side_effect = verdict.tool.side_effect
    else:
        record.state, record.result = "refused", verdict.reason
    return record
