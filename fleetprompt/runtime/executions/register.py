"""Executions' entries in the registry: their signals, their job, and the hook by which a directive wakes its run."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.kernel.json import canonical
from fleetprompt.model import Agent, Directive, Execution, ToolCallRecord
from fleetprompt.model.states import AgentState, DirectiveState, ExecutionState
from fleetprompt.runtime.executions import end, observe
from fleetprompt.runtime.executions.act import set_result, taint
from fleetprompt.runtime.executions.record import hold
from fleetprompt.runtime.executions.run import begin_execution, run_execution
from fleetprompt.runtime.executions.start import enqueue_run
from fleetprompt.runtime.jobs.work import Begun, Work
from fleetprompt.runtime.llm import ModelBoundary
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.runtime.tools.gate import forbidden
from fleetprompt.runtime.tools.standing import standing
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import Rows

_CALL = Rows(
    ToolCallRecord,
    "select {columns} from tool_calls where directive_id = :directive_id order by state <> 'waiting'",
)
_CALL_KEY = re.compile(r"execution:[0-9a-f-]{36}:\d+:\d+")
SIGNALS = {
    "agent.execution.requested": "An agent was asked to do something.",
    "agent.execution.succeeded": "An agent's run came to an answer.",
    "agent.execution.failed": "An agent's run ended without one.",
    "agent.execution.canceled": "A person ended an agent's run.",
    "agent.execution.retried": "A person gave a failed run another round.",
    "agent.tool.called": "An agent called a tool with a side effect.",
}
BROKEN = "Something went wrong on my side and I could not finish; an administrator can see what happened."


def register(registry: Registry, models: ModelBoundary) -> None:
    """Called once by the runtime's own registration."""
    for name, about in SIGNALS.items():
        registry.add_signal(name, about, retention="lifecycle")

    async def run(work: Work) -> None:
        await run_execution(registry, models, work, _id(work.args))

    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        await _bury(registry, work, _id(args), error)

    async def begin(work: Work, session: TenantSession) -> Begun:
        return await begin_execution(registry, models, work, session, _id(work.args))

    registry.add_job(JobKind("execution.run", run, died, begin))
    registry.estimate_usd = models.estimate_usd

    async def settled(session: TenantSession, directive: Directive) -> None:
        await on_settled(session, registry, directive)

    async def may_run(session: TenantSession, directive: Directive) -> str | None:
        return await recheck(session, registry, directive)

    registry.settled.append(settled)
    registry.rechecks.append(may_run)


async def _call_of(session: TenantSession, directive: Directive) -> ToolCallRecord | None:
    """The tool call that asked for it, whose key says so: `execution:<id>:<step>:<index>`."""
    if _CALL_KEY.fullmatch(directive.idempotency_key) is None:
        return None
    return await _CALL.first(session, {"directive_id": directive.id})


async def recheck(session: TenantSession, registry: Registry, directive: Directive) -> str | None:
    """Why a tool's directive may no longer run, though it was allowed when it was asked for; None if it may."""
    call = await _call_of(session, directive)
    if call is None:
        return None
    execution = await session.get_one(Execution, call.execution_id)
    agent = await session.get_one(Agent, execution.agent_id)
    if agent.state != AgentState.ACTIVE:
        return f"The agent {agent.name} is {agent.state} now."
    tool = registry.tools.get(call.tool)
    if call.tool not in agent.tools or tool is None:
        return f"The agent {agent.name} no longer has the tool {call.tool}."
    known = await standing(session, registry, agent, execution, [tool], counts=False)
    return forbidden(agent, tool, known)


async def on_settled(session: TenantSession, registry: Registry, directive: Directive) -> None:
    """Give a tool call the result of its directive and wake the run that waits for it."""
    call = await _call_of(session, directive)
    if call is None or call.state != "waiting":
        return
    state, content = result_of(directive)
    await set_result(session, call.id, state, content)
    tool = registry.tools.get(call.tool)
    if tool is None or tool.taints:
        await taint(session, call.execution_id)
    execution = await session.get_one(Execution, call.execution_id)
    await enqueue_run(session, execution.id, execution.lane, execution.position, execution.correlation_id)


def result_of(directive: Directive) -> tuple[str, str]:
    """What the model is told of a directive's end."""
    if directive.state == DirectiveState.SUCCEEDED:
        # How we learned of it ("found": by a look-up after a crash) is our own book-keeping and means nothing to a model.
        kept = (directive.result or {}).get("receipts", [])
        receipts = [{name: value for name, value in receipt.items() if name != "found"} for receipt in kept]
        return "done", canonical(receipts[0] if len(receipts) == 1 else receipts)
    if directive.state == DirectiveState.OUTCOME_UNKNOWN:
        return "failed", "It is not known whether this happened; a person is checking. Do not try it again."
    if directive.state == DirectiveState.CANCELED:
        return "refused", f"This was not allowed: {directive.error or directive.error_code}"
    return "failed", f"This failed: {directive.error or directive.error_code}"


async def _bury(registry: Registry, work: Work, execution_id: ExecutionId, error: str) -> None:
    """Its job is a dead letter: the run has failed, and the person is told so."""
    async with work.finish() as session:
        run = await hold(session, execution_id)  # its history may be what it died of
        open_states = (ExecutionState.QUEUED, ExecutionState.RUNNING, ExecutionState.WAITING)
        if run is not None and run.execution.state in open_states:
            before = run.execution.state
            await end.fail(session, registry, run, "job_died", error, BROKEN)
            observe.moved_on(work.tenant, run.execution, before)


def _id(args: dict[str, Any]) -> ExecutionId:
    return ExecutionId(UUID(args["execution_id"]))
