"""Storing what a model call came to: its answer with every tool call judged, or its failure with what follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, assert_never
from uuid import UUID

from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import ToolCallRecord
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

# What a call did not tell of itself stays as it was noted; its cost is no reservation any more.
_SETTLE = Sql(
    "update model_calls set outcome = :outcome, model = coalesce(:model, model), detail = coalesce(:detail, detail),"
    " input_tokens = coalesce(:input_tokens, input_tokens), output_tokens = coalesce(:output_tokens, output_tokens),"
    " cost_usd = :cost_usd, latency_ms = :latency_ms where id = :id"
)
UNUSED: Final = dict.fromkeys(("model", "detail", "input_tokens", "output_tokens", "cost_usd"))
_ADD_STEP = Sql(
    "insert into execution_steps (execution_id, step, model, reply) values (:execution_id, :step, :model, :reply)"
)
MAX_CALLS_PER_STEP = 16


async def store_usage(
    session: TenantSession, run: Run, call_id: UUID, outcome: ModelReply | ModelFailure, latency_ms: int
) -> None:
    """What the call came to and cost; an answer of no use is paid for too, and so is one that nobody waits for."""
    usage, cost_usd = outcome.usage, outcome.cost_usd
    if isinstance(outcome, ModelReply):
        noted: dict[str, Any] = {"outcome": "answered", "model": outcome.model}
    else:
        noted = {"outcome": outcome.kind, "detail": outcome.detail[:500]}
    if usage is not None:
        counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        noted |= {**counted, "cost_usd": cost_usd}
        execution = run.execution  # its row is held, so that nobody else adds meanwhile
        execution.input_tokens += usage.input_tokens
        execution.output_tokens += usage.output_tokens
        is_known = cost_usd is not None and execution.cost_usd is not None
        execution.cost_usd = (execution.cost_usd or 0) + (cost_usd or Decimal(0)) if is_known else None
    noted["latency_ms"] = latency_ms
    await session.fetch(_SETTLE, {"id": call_id, **UNUSED, **noted})


async def store_reply(session: TenantSession, registry: Registry, run: Run, reply: ModelReply) -> None:
    """The answer, and each tool call that it asks for: judged now, done later."""
    execution, step = run.execution, run.execution.steps
    added = {"execution_id": execution.id, "step": step, "model": reply.model, "reply": json.dumps(reply.raw)}
    await session.fetch(_ADD_STEP, added)
    session.add_all(await _judged(session, registry, run, reply.calls))
    execution.steps += 1
    execution.tool_calls += len(reply.calls)
    # The fallback's name means nothing to the first model, should a person retry this run.
    execution.model = execution.model or ("" if execution.on_fallback else reply.model)
    execution.model_failures = 0
    await session.flush()


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
