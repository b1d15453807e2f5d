"""`fleetprompt workflow`: what shall follow a signal, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Workflow, WorkflowVersion
    from fleetprompt.runtime.workflows.find import RunRecord
    from fleetprompt.runtime.workflows.manage import Added
    from fleetprompt.runtime.workflows.record import Run
    from fleetprompt.tenancy import TenantSession

FIELDS = ("id", "name", "state", "version", "on", "installation_id", "created_at", "updated_at")
SHOWN = (*FIELDS, "digest", "definition")
OWN = (
    "id", "state", "version", "depth", "signal_id", "error_code", "error", "installation_id", "conversation_id",
    "correlation_id", "created_at", "started_at", "finished_at",
)  # fmt: skip
RUN = ("id", "workflow", *OWN[1:])
STEP = (
    "id", "index", "name", "kind", "state", "round", "input", "result", "directive_id", "execution_id", "signal_id",
    "wake_at", "error_code", "error", "started_at", "finished_at",
)  # fmt: skip
MORE = ("idempotency_key", "signal")
STATES = ("queued", "running", "waiting", "succeeded", "failed", "canceled")
VERBS = {"pause": "paused", "resume": "active", "archive": "archived"}
SAID = {"added": "is added", "changed": "has a new version", "unchanged": "is that already"}


@click.group("workflow")
def workflows() -> None:
    """Workflows: steps that follow a signal, each done once."""


@workflows.command(
    help=f"""Keep the workflow in FILE (JSON; `-` reads stdin) under its name.

The same content again changes nothing; another becomes a new version, and runs that go on keep theirs.

{options.fields(SHOWN)}"""
)
@click.argument("file", type=click.File("rb"))
@options.org
@options.as_json
def add(file: IO[bytes], org: str, as_json: bool) -> None:
    from fleetprompt.runtime.workflows.definition import MAX_BYTES, parse

    definition = parse(file.read(MAX_BYTES + 1))

    async def act(house: House, session: TenantSession) -> Added:
        from fleetprompt.runtime.workflows.manage import add_workflow

        return await add_workflow(session, house.registry, definition, operator())

    added = in_tenant(org, act)
    if as_json:
        output.show_json([_shown(added.workflow, added.version)])
    else:
        output.say(f"Workflow {added.workflow.name} {SAID[added.change]}: version {added.version.version}.")


@workflows.command("list", help=f"All workflows but the archived.\n\n{options.fields(FIELDS)}")
@options.org
@options.as_json
def list_(org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Workflow]:
        from fleetprompt.runtime.workflows.manage import list_workflows

        return await list_workflows(session)

    rows = [_row(workflow) for workflow in in_tenant(org, act)]
    nothing = f"There is no workflow yet. Add one: fleetprompt workflow add FILE.json --org {org}"
    output.show_rows(rows, ("name", "state", "version", "on"), as_json=as_json, nothing=nothing)


@workflows.command(help=f"One workflow with its newest definition.\n\n{options.fields(SHOWN)}")
@click.argument("name")
@options.org
@options.as_json
def show(name: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> tuple[Workflow, WorkflowVersion]:
        from fleetprompt.runtime.workflows.manage import find_workflow, version_of

        workflow = await find_workflow(session, name)
        return workflow, await version_of(session, workflow.id, workflow.version)

    output.show_one(_shown(*in_tenant(org, act)), as_json=as_json)


@workflows.command(help=f"The newest runs, without what was said.\n\n{options.fields(RUN)}")
@options.org
@click.option("--workflow", metavar="NAME", help="Of this workflow.")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--signal", type=click.UUID, metavar="ID", help="For this signal.")
@click.option("--correlation", type=click.UUID, metavar="ID", help="Of this chain.")
@options.limit
@options.as_json
def runs(
    org: str,
    workflow: str | None,
    state: str | None,
    signal: UUID | None,
    correlation: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[RunRecord]:
        from fleetprompt.runtime.workflows.find import RunFilter, list_runs

        return await list_runs(session, RunFilter(workflow, state, correlation, signal), limit)

    rows = [_run_row(record, OWN) for record in in_tenant(org, act)]
    columns = ("id", "created_at", "workflow", "version", "state", "error")
    output.show_rows(rows, columns, as_json=as_json, nothing="No such runs.")


@workflows.command(
    "run-show",
    help=f"""One run with its signal and its steps.

{options.fields((*RUN, *MORE, "steps"))}

A step has: {", ".join(STEP)}.""",
)
@click.argument("run_id", metavar="ID")
@options.org
@options.as_json
def run_show(run_id: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> RunRecord:
        from fleetprompt.runtime.workflows.find import show_run

        return await show_run(session, _parse_id(run_id))

    record = in_tenant(org, act)
    row = {**_run_row(record, (*OWN, *MORE)), "steps": [output.pick(step, STEP) for step in record.steps]}
    output.show_one(row, as_json=as_json)


@workflows.command(help="End a run; what its directives have begun they finish.")
@click.argument("run_id", metavar="ID")
@options.org
def cancel(run_id: str, org: str) -> None:
    from fleetprompt.runtime.workflows.decide import cancel_run

    _change(cancel_run, run_id, org)


@workflows.command(help="Let a failed run go on at the step that failed.")
@click.argument("run_id", metavar="ID")
@options.org
def retry(run_id: str, org: str) -> None:
    from fleetprompt.runtime.workflows.decide import retry_run

    _change(retry_run, run_id, org)


def _change(handler: Callable[..., Awaitable[Run]], run_id: str, org: str) -> None:
    async def act(house: House, session: TenantSession) -> Run:
        return await handler(session, house.registry, _parse_id(run_id), operator())

    changed = in_tenant(org, act)
    output.say(f"Run {changed.row.id} of {changed.workflow.name} is {changed.row.state}.")


def _set_state(verb: str, about: str) -> None:
    @workflows.command(verb, help=about)
    @click.argument("name")
    @options.org
    def change(name: str, org: str) -> None:
        async def act(house: House, session: TenantSession) -> Workflow:
            from fleetprompt.model.states import WorkflowState
            from fleetprompt.runtime.workflows.manage import set_workflow_state

            state = WorkflowState(VERBS[verb])
            return await set_workflow_state(session, house.registry, name, operator(), state)

        changed = in_tenant(org, act)
        output.say(f"Workflow {changed.name} is {changed.state}.")


_set_state("pause", "Start no more runs; what happens meanwhile starts none later, unless it is replayed.")
_set_state("resume", "Start runs again.")
_set_state("archive", "Retire it for good; its runs stay on record, and its name is free.")


def _row(workflow: Workflow) -> dict[str, Any]:
    row = output.pick(workflow, [name for name in FIELDS if name != "on"])
    return {name: workflow.signal_pattern if name == "on" else row[name] for name in FIELDS}


def _shown(workflow: Workflow, version: WorkflowVersion) -> dict[str, Any]:
    return {**_row(workflow), **output.pick(version, ("digest", "definition"))}


def _run_row(record: RunRecord, fields: Sequence[str]) -> dict[str, Any]:
    picked = output.pick(record.run, fields)
    return {"id": picked.pop("id"), "workflow": record.workflow, **picked}


def _parse_id(text: str) -> UUID:
    """Raises InvalidInput for what is no id."""
    from fleetprompt.kernel.errors import InvalidInput

    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(
            f"{text[:60]!r} is no id of a run.", "Take it from: fleetprompt workflow runs --org ..."
        ) from None
