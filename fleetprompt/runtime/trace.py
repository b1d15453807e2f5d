"""The trace of one thing: signal -> execution (model calls, tool calls) -> directives (effects) -> result signals.

A workflow's run stands below its signal, with its steps; below each step what it asked for.

Everything with one correlation id is one trace, and what led to what makes it a tree. Pure data, without any text that
a person or a model wrote; `trace_text` shows it, `as_json` hands it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import (
    Agent,
    Directive,
    Effect,
    Execution,
    Job,
    ModelCall,
    Signal,
    ToolCallRecord,
    Workflow,
    WorkflowRun,
    WorkflowStep,
)
from fleetprompt.runtime.trace_find import find_correlation
from fleetprompt.tenancy import Tenancy, TenantSession


@dataclass(slots=True)
class Node:
    """One thing that happened. kind: signal, execution, model_call, tool_call, directive, effect, workflow_run, workflow_step.

    began_at to ended_at is how long it took; a fact takes no time, and what goes on has no end yet.
    """

    kind: str
    id: UUID
    name: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    facts: dict[str, Any] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    @property
    def duration_ms(self) -> int | None:
        """None for a fact, and for what is not over."""
        if self.kind == "model_call":
            latency_ms: int | None = self.facts["latency_ms"]
            return latency_ms
        if self.ended_at is None or self.kind == "signal":
            return None
        return max(0, round((self.ended_at - self.began_at).total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Trace:
    """duration_ms: from the first to the last moment known. cost_usd: None when nobody knows a price in it."""

    tenant: TenantSlug
    correlation_id: UUID
    roots: Sequence[Node]
    jobs: Sequence[Node]
    """Jobs of it that wait, run or died; finished ones are gone."""
    duration_ms: int
    cost_usd: Decimal | None
    input_tokens: int
    output_tokens: int


async def find_trace(tenancy: Tenancy, tenant: TenantSlug, wanted: str) -> Trace:
    """By any id: of a signal, an execution, a directive, an effect (or its key), a job, a correlation, or a post's own.

    Raises NotFound.
    """
    correlation_id = await find_correlation(tenancy, tenant, wanted)
    async with tenancy.session(tenant) as session:
        nodes = await _nodes(session, correlation_id)
    async with tenancy.database.session() as session_of_registry:
        mine = select(Job).where(Job.tenant == tenant, Job.correlation_id == correlation_id)
        jobs = [_job(job) for job in await session_of_registry.scalars(mine.order_by(Job.id))]
    return _trace(tenant, correlation_id, nodes, jobs)


def walk(nodes: Iterable[Node]) -> Iterable[Node]:
    """Each node, parents first."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def as_json(trace: Trace) -> dict[str, Any]:
    """The tree as JSON would hold it, but for ids, times and money, which stay typed."""
    return {
        "org": trace.tenant,
        "correlation_id": trace.correlation_id,
        "duration_ms": trace.duration_ms,
        "cost_usd": trace.cost_usd,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "jobs": [_node_json(node) for node in trace.jobs],
        "roots": [_node_json(node) for node in trace.roots],
    }


def _node_json(node: Node) -> dict[str, Any]:
    own = {name: getattr(node, name) for name in ("kind", "id", "name", "state", "began_at", "ended_at")}
    children = [_node_json(child) for child in node.children]
    return {**own, "duration_ms": node.duration_ms, **node.facts, "children": children}


@dataclass(slots=True)
class _Nodes:
    """Nodes with what each hangs on, in order of preference."""

    by_id: dict[UUID, Node] = field(default_factory=dict)
    parents: dict[UUID, tuple[UUID | None, ...]] = field(default_factory=dict)

    def add(self, node: Node, *parents: UUID | None) -> None:
        self.by_id[node.id], self.parents[node.id] = node, parents

    def tree(self) -> list[Node]:
        roots: list[Node] = []
        for node in sorted(self.by_id.values(), key=lambda node: (node.began_at, node.id)):
            parent = next((p for p in self.parents[node.id] if p in self.by_id and p != node.id), None)
            (roots if parent is None else self.by_id[parent].children).append(node)
        return roots


async def _nodes(session: TenantSession, correlation_id: UUID) -> _Nodes:
    nodes = _Nodes()
    by_step = await _add_workflows(session, nodes, correlation_id)
    for signal in await session.scalars(select(Signal).where(Signal.correlation_id == correlation_id)):
        nodes.add(_signal(signal), by_step.get(signal.id), signal.causation_id)
    runs = select(Execution, Agent.name).join(Agent).where(Execution.correlation_id == correlation_id)
    executions = (await session.execute(runs)).all()
    for execution, agent in executions:
        nodes.add(_execution(execution, agent), by_step.get(execution.id), execution.signal_id)
    by_directive = await _add_calls(session, nodes, [execution.id for execution, _ in executions])
    directives = list(
        await session.scalars(select(Directive).where(Directive.correlation_id == correlation_id))
    )
    for directive in directives:
        asked = by_directive.get(directive.id) or by_step.get(directive.id)
        nodes.add(_directive(directive), asked, directive.execution_id, directive.causation_id)
    of_these = Effect.directive_id.in_([directive.id for directive in directives])
    for effect in await session.scalars(select(Effect).where(of_these)):
        nodes.add(_effect(effect), effect.directive_id)
    return nodes


async def _add_workflows(session: TenantSession, nodes: _Nodes, correlation_id: UUID) -> dict[UUID, UUID]:
    """What a step asked for or told -> the step."""
    asked: dict[UUID, UUID] = {}
    query = select(WorkflowRun, Workflow.name).join(Workflow, Workflow.id == WorkflowRun.workflow_id)
    runs = (await session.execute(query.where(WorkflowRun.correlation_id == correlation_id))).all()
    for run, name in runs:
        nodes.add(_workflow_run(run, name), run.signal_id)
    of_these = select(WorkflowStep).where(WorkflowStep.run_id.in_([run.id for run, _ in runs]))
    latest: dict[UUID, datetime] = {}
    for step in await session.scalars(of_these.order_by(WorkflowStep.run_id, WorkflowStep.index)):
        began_at = max(step.started_at or step.created_at, latest.get(step.run_id, step.created_at))
        latest[step.run_id] = began_at + timedelta(microseconds=1)  # in order, begun or not
        nodes.add(_workflow_step(step, began_at), step.run_id)
        ids = (step.directive_id, step.execution_id, step.signal_id)
        asked |= {asked_for: step.id for asked_for in ids if asked_for is not None}
    return asked


async def _add_calls(session: TenantSession, nodes: _Nodes, executions: Sequence[UUID]) -> dict[UUID, UUID]:
    """directive -> the tool call that asked for it."""
    for call in await session.scalars(select(ModelCall).where(ModelCall.execution_id.in_(executions))):
        nodes.add(_model_call(call), call.execution_id)
    asked: dict[UUID, UUID] = {}
    for tool in await session.scalars(
        select(ToolCallRecord).where(ToolCallRecord.execution_id.in_(executions))
    ):
        nodes.add(_tool_call(tool), tool.execution_id)
        if tool.directive_id is not None:
            asked[tool.directive_id] = tool.id
    return asked


def _trace(tenant: TenantSlug, correlation_id: UUID, nodes: _Nodes, jobs: list[Node]) -> Trace:
    every = list(nodes.by_id.values())
    moments = [moment for node in every for moment in (node.began_at, node.ended_at) if moment is not None]
    span_s = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    runs = [node.facts for node in every if node.kind == "execution"]
    costs = [run["cost_usd"] for run in runs]
    return Trace(
        tenant,
        correlation_id,
        nodes.tree(),
        jobs,
        round(span_s * 1000),
        None if None in costs else sum(costs, Decimal(0)),
        sum(run["input_tokens"] for run in runs),
        sum(run["output_tokens"] for run in runs),
    )


def _signal(row: Signal) -> Node:
    facts = {"actor_kind": row.actor_kind, "actor_id": row.actor_id, "actor_name": row.actor_name}
    return Node("signal", row.id, row.name, "", row.created_at, row.created_at, facts)


def _execution(row: Execution, agent: str) -> Node:
    names = (
        "model",
        "steps",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "error_code",
        "error",
        "started_at",
    )
    return Node("execution", row.id, agent, row.state, row.created_at, row.finished_at, _facts(row, names))


def _workflow_run(row: WorkflowRun, name: str) -> Node:
    names = ("version", "depth", "error_code", "error", "started_at")
    return Node("workflow_run", row.id, name, row.state, row.created_at, row.finished_at, _facts(row, names))


def _workflow_step(row: WorkflowStep, began_at: datetime) -> Node:
    facts = {**_facts(row, ("index", "error_code", "error")), "does": row.kind}
    return Node("workflow_step", row.id, row.name, row.state, began_at, row.finished_at, facts)


def _model_call(row: ModelCall) -> Node:
    names = ("step", "input_tokens", "output_tokens", "cost_usd", "latency_ms", "detail")
    return Node("model_call", row.id, row.model, row.outcome, row.created_at, None, _facts(row, names))


def _tool_call(row: ToolCallRecord) -> Node:
    names = ("step", "index", "side_effect", "directive_id")
    facts = {**_facts(row, names), "refusal": row.result if row.state == "refused" else None}
    return Node("tool_call", row.id, row.tool, row.state, row.created_at, row.finished_at, facts)


def _directive(row: Directive) -> Node:
    names = ("attempt", "approval_reason", "approved_by", "error_code", "error", "started_at")
    return Node("directive", row.id, row.name, row.state, row.created_at, row.finished_at, _facts(row, names))


def _effect(row: Effect) -> Node:
    names = ("part", "tries", "error", "receipt")
    began_at = row.first_tried_at or row.created_at
    return Node("effect", row.id, row.key, row.state, began_at, row.finished_at, _facts(row, names))


def _job(row: Job) -> Node:
    names = ("attempt", "max_attempts", "scheduled_at", "last_error")
    return Node("job", row.id, row.kind, row.state, row.created_at, row.finished_at, _facts(row, names))


def _facts(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
