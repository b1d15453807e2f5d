"""`fleetprompt executions`: the runs of agents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator, parse_id

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Execution
    from fleetprompt.runtime.executions.find import RunRecord
    from fleetprompt.runtime.executions.record import Run
    from fleetprompt.tenancy import TenantSession

OWN = (
    "id", "state", "model", "steps", "tool_calls", "input_tokens", "output_tokens", "cost_usd", "error_code", "error",
    "signal_id", "directive_id", "conversation_id", "installation_id", "correlation_id", "created_at", "started_at",
    "finished_at",
)  # fmt: skip
FIELDS = ("id", "agent", *OWN[1:])
MORE = ("idempotency_key", "limits", "tainted", "on_fallback", "shortened", "input", "output")
MODEL_CALL = (
    "id", "step", "model", "outcome", "detail", "input_tokens", "output_tokens", "cost_usd", "latency_ms", "created_at",
)  # fmt: skip
TOOL_CALL = (
    "id", "step", "index", "tool", "side_effect", "state", "arguments", "result", "directive_id", "created_at",
    "finished_at",
)  # fmt: skip
STATES = ("queued", "running", "waiting", "succeeded", "failed", "canceled")


@click.group()
def executions() -> None:
    """Executions: the runs of agents, with their steps, tools, tokens and cost."""


@executions.command("list", help=f"The newest runs, without what was said.\n\n{options.fields(FIELDS)}")
@options.org
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--agent", metavar="NAME", help="Of this agent.")
@click.option("--correlation", type=click.UUID, metavar="ID", help="Of this chain.")
@click.option("--conversation", type=click.UUID, metavar="ID", help="Of this conversation.")
@options.limit
@options.as_json
def list_(
    org: str,
    state: str | None,
    agent: str | None,
    correlation: UUID | None,
    conversation: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[RunRecord]:
        from fleetprompt.runtime.executions.find import ExecutionFilter, list_executions

        chosen = ExecutionFilter(state, agent, correlation, conversation)
        return await list_executions(session, chosen, limit)

    rows = [_row(record.execution, record.agent, OWN) for record in in_tenant(org, act)]
    columns = ("id", "created_at", "agent", "state", "steps", "cost_usd")
    output.show_rows(rows, columns, as_json=as_json, nothing="No such executions.")


@executions.command(
    help=f"""One run with its request, its answer and every call.

{options.fields((*FIELDS, *MORE, "model_calls", "tool_call_records"))}

A model call has: {", ".join(MODEL_CALL)}. A tool call has: {", ".join(TOOL_CALL)}."""
)
@click.argument("execution_id", metavar="ID")
@options.org
@options.as_json
def show(execution_id: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> RunRecord:
        from fleetprompt.runtime.executions.find import find_execution

        return await find_execution(session, parse_id(execution_id, "execution"))

    record = in_tenant(org, act)
    row = {
        **_row(record.execution, record.agent, (*OWN, *MORE)),
        "model_calls": [output.pick(call, MODEL_CALL) for call in record.model_calls],
        "tool_call_records": [output.pick(call, TOOL_CALL) for call in record.tool_calls],
    }
    output.show_one(row, as_json=as_json)


@executions.command(help="End a run; what its directives have begun they finish.")
@click.argument("execution_id", metavar="ID")
@options.org
def cancel(execution_id: str, org: str) -> None:
    from fleetprompt.runtime.executions.manage import cancel_execution

    _change(cancel_execution, execution_id, org)


@executions.command(help="Let a failed run go on from where it stopped.")
@click.argument("execution_id", metavar="ID")
@options.org
def retry(execution_id: str, org: str) -> None:
    from fleetprompt.runtime.executions.manage import retry_execution

    _change(retry_execution, execution_id, org)


def _change(handler: Callable[..., Awaitable[Run]], execution_id: str, org: str) -> None:
    async def act(house: House, session: TenantSession) -> Execution:
        from fleetprompt.kernel.ids import ExecutionId

        wanted = ExecutionId(parse_id(execution_id, "execution"))
        return (await handler(session, house.registry, wanted, operator())).execution

    changed = in_tenant(org, act)
    output.say(f"Execution {changed.id} is {changed.state}.")


def _row(execution: Execution, agent: str, fields: Sequence[str]) -> Mapping[str, Any]:
    picked = output.pick(execution, fields)
    return {"id": picked.pop("id"), "agent": agent, **picked}
