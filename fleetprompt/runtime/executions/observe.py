"""What telemetry says of runs: events and metrics, once their transaction has committed."""

from __future__ import annotations

from typing import Final

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Execution
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.llm import ModelFailure, ModelReply
from fleetprompt.telemetry import event, events, metrics

EVENT_OF: Final = {
    ExecutionState.WAITING: events.AGENT_EXECUTION_WAITING,
    ExecutionState.SUCCEEDED: events.AGENT_EXECUTION_COMPLETED,
    ExecutionState.FAILED: events.AGENT_EXECUTION_FAILED,
    ExecutionState.CANCELED: events.AGENT_EXECUTION_CANCELED,
}


def moved_on(tenant: TenantSlug, execution: Execution, before: str) -> None:
    """It began, waits, or is over; a run that stands where it stood is no news."""
    if before == ExecutionState.QUEUED and execution.state != before:
        event(events.AGENT_EXECUTION_STARTED, org=tenant, execution=execution.id, agent_id=execution.agent_id)
    name = EVENT_OF.get(ExecutionState(execution.state))
    if name is not None and execution.state != before:
        _came_to_rest(tenant, execution, name)


def _came_to_rest(tenant: TenantSlug, execution: Execution, name: str) -> None:
    metrics.EXECUTIONS.labels(tenant, execution.state).inc()
    if execution.finished_at is None:
        event(name, org=tenant, execution=execution.id)
        return
    seconds = (execution.finished_at - execution.created_at).total_seconds()
    metrics.EXECUTION_SECONDS.labels(tenant, execution.state).observe(seconds)
    event(
        name,
        org=tenant,
        execution=execution.id,
        seconds=round(seconds, 3),
        steps=execution.steps,
        input_tokens=execution.input_tokens,
        output_tokens=execution.output_tokens,
        cost_usd=None if execution.cost_usd is None else float(execution.cost_usd),
        error_code=execution.error_code,
    )


def model_called(tenant: TenantSlug, model: str, outcome: ModelReply | ModelFailure, latency_ms: int) -> None:
    """One call of a model; a failure by its kind."""
    if isinstance(outcome, ModelFailure):
        metrics.MODEL_CALLS.labels(tenant, model or "default", outcome.kind).inc()
        metrics.MODEL_CALL_SECONDS.labels(model or "default").observe(latency_ms / 1000)
        return
    usage, model = outcome.usage, outcome.model
    metrics.MODEL_CALLS.labels(tenant, model, "answered").inc()
    metrics.MODEL_CALL_SECONDS.labels(model).observe(latency_ms / 1000)
    metrics.MODEL_TOKENS.labels(tenant, model, "input").inc(usage.input_tokens)
    metrics.MODEL_TOKENS.labels(tenant, model, "output").inc(usage.output_tokens)
    metrics.MODEL_COST_USD.labels(tenant, model).inc(float(outcome.cost_usd or 0))
