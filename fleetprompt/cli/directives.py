"""`fleetprompt directives`: controlled intents, and what a person decides about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.deciding import by, decider
from fleetprompt.cli.running import in_tenant, parse_id

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Directive, Effect
    from fleetprompt.tenancy import TenantSession

FIELDS = (
    "id", "name", "state", "summary", "attempt", "error_code", "error", "approval_reason", "approval_expires_at",
    "approved_by", "actor_kind", "actor_name", "execution_id", "installation_id", "conversation_id", "correlation_id",
    "causation_id", "created_at", "finished_at",
)  # fmt: skip
SHOWN = (*FIELDS, "idempotency_key", "arguments_digest", "failures", "started_at", "arguments", "result")
EFFECT = (
    "key", "part", "state", "tries", "error", "first_tried_at", "finished_at", "request", "receipt",
)  # fmt: skip
STATES = ("requested", "awaiting_approval", "running", "succeeded", "failed", "canceled", "outcome_unknown")


@click.group()
def directives() -> None:
    """Directives: intents with effects outside; edit, approve, reject, cancel, retry, resolve."""


@directives.command(
    "list", help=f"The newest directives, without their arguments.\n\n{options.fields(FIELDS)}"
)
@options.org
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--name", help="Exactly this name.")
@click.option("--correlation", type=click.UUID, metavar="ID", help="Of this chain.")
@click.option("--execution", type=click.UUID, metavar="ID", help="Of this run.")
@options.limit
@options.as_json
def list_(
    org: str,
    state: str | None,
    name: str | None,
    correlation: UUID | None,
    execution: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Directive]:
        from fleetprompt.runtime.directives.find import DirectiveFilter, list_directives

        chosen = DirectiveFilter(state, name, correlation, execution)
        return await list_directives(session, chosen, limit)

    rows = [output.pick(directive, FIELDS) for directive in in_tenant(org, act)]
    columns = ("id", "created_at", "state", "summary")
    output.show_rows(rows, columns, as_json=as_json, nothing="No such directives.")


@directives.command(
    help=f"""One directive with its arguments and effects.

{options.fields((*SHOWN, "effects", "preview"))} An effect has: {", ".join(EFFECT)}."""
)
@click.argument("directive_id", metavar="ID")
@options.org
@options.as_json
def show(directive_id: str, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> tuple[Directive, Sequence[Effect], str | None]:
        from fleetprompt.runtime.directives.find import find_directive, preview

        directive, effects = await find_directive(session, parse_id(directive_id, "directive"))
        return directive, effects, await preview(session, house.registry, directive)

    directive, effects, seen = in_tenant(org, act)
    row = {**output.pick(directive, SHOWN), "effects": [output.pick(effect, EFFECT) for effect in effects]}
    if as_json:
        output.show_one({**row, "preview": seen}, as_json=True)
        return
    output.show_one(row, as_json=False)
    if seen:
        output.say("\n" + output.harmless(seen))


@directives.command(
    help=f"""Change the text of one that waits for approval.

Without --text or --file an editor opens ($EDITOR). Whoever approves it approves the new text.

{options.fields(FIELDS)}"""
)
@click.argument("directive_id", metavar="ID")
@options.org
@click.option("--text", help="The new text.")
@click.option(
    "--file", type=click.File(encoding="utf-8"), help="The new text from a file; - is standard input."
)
@by
@options.as_json
def edit(
    directive_id: str, org: str, text: str | None, file: IO[str] | None, by: str | None, as_json: bool
) -> None:
    if text is not None and file is not None:
        raise click.UsageError("Give the text once: --text or --file.")
    if file is not None:
        text = file.read()
    if text is None:
        text = _typed(directive_id, org)
    _decide("edit", directive_id, org, as_json, by, changes={"text": text})


def _typed(directive_id: str, org: str) -> str:
    """What a person makes of it in their editor."""

    async def act(_: House, session: TenantSession) -> str:
        from fleetprompt.runtime.directives.find import find_directive

        directive, _effects = await find_directive(session, parse_id(directive_id, "directive"))
        return str(directive.arguments.get("text", ""))

    typed = click.edit(in_tenant(org, act))
    if typed is None:
        raise click.UsageError("Nothing was changed.")
    return typed


@directives.command(help=f"Let it go ahead with exactly these arguments, once.\n\n{options.fields(FIELDS)}")
@click.argument("directive_id", metavar="ID")
@options.org
@by
@options.as_json
def approve(directive_id: str, org: str, by: str | None, as_json: bool) -> None:
    _decide("approve", directive_id, org, as_json, by)


@directives.command(help=f"Refuse it for good.\n\n{options.fields(FIELDS)}")
@click.argument("directive_id", metavar="ID")
@options.org
@click.option("--reason", default="", help="Why; the agent is told.")
@by
@options.as_json
def reject(directive_id: str, org: str, reason: str, by: str | None, as_json: bool) -> None:
    _decide("reject", directive_id, org, as_json, by, reason=reason)


@directives.command(help=f"Withdraw one that has not begun.\n\n{options.fields(FIELDS)}")
@click.argument("directive_id", metavar="ID")
@options.org
@options.as_json
def cancel(directive_id: str, org: str, as_json: bool) -> None:
    _decide("cancel", directive_id, org, as_json)


@directives.command(
    help=f"Give a failed one another round; what was sent stays sent.\n\n{options.fields(FIELDS)}"
)
@click.argument("directive_id", metavar="ID")
@options.org
@options.as_json
def retry(directive_id: str, org: str, as_json: bool) -> None:
    _decide("retry", directive_id, org, as_json)


@directives.command(
    help=f"""Settle an unknown outcome by what you saw on the far side.

--sent: it is there. --not-sent: it is not, and is sent again.

{options.fields(FIELDS)}"""
)
@click.argument("directive_id", metavar="ID")
@options.org
@click.option("--sent", "seen", flag_value="sent", help="It is there.")
@click.option("--not-sent", "seen", flag_value="not sent", help="It is not there: send it again.")
@by
@options.as_json
def resolve(directive_id: str, org: str, seen: str | None, by: str | None, as_json: bool) -> None:
    if seen is None:  # no default: a wrong guess posts twice, or never
        raise click.UsageError("Say what you saw on the far side: --sent or --not-sent.")
    _decide("resolve", directive_id, org, as_json, by, sent=seen == "sent")


def _decide(
    verb: str, directive_id: str, org: str, as_json: bool, email: str | None = None, **more: Any
) -> None:
    async def act(house: House, session: TenantSession) -> Directive:
        from fleetprompt.runtime.directives import decide

        handler: Callable[..., Awaitable[Directive]] = getattr(decide, verb)
        wanted = parse_id(directive_id, "directive")
        who = await decider(session, email)
        return await handler(session, house.registry, wanted, who, **more)

    decided = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(decided, FIELDS)])
    else:
        output.say(f"Directive {decided.id} is {decided.state}.")
