"""`fleetprompt signals`: the facts, and having them handled again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import rich_click as click

from fleetprompt.cli import moments, options, output
from fleetprompt.cli.running import in_tenant, operator, parse_id

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Signal
    from fleetprompt.tenancy import TenantSession

FIELDS = (
    "id", "name", "occurred_at", "actor_kind", "actor_id", "actor_name", "correlation_id", "causation_id",
    "installation_id", "conversation_id", "retention", "created_at",
)  # fmt: skip
SHOWN = (*FIELDS, "dedupe_key", "payload")
REPLAYED = ("signals", "jobs")

_name = click.option("--name", help="Exactly this name; chat.* for all that begin so.")


@click.group()
def signals() -> None:
    """Signals: facts, each stored once, which handlers react to."""


@signals.command("list", help=f"The newest signals, without their bodies.\n\n{options.fields(FIELDS)}")
@options.org
@_name
@moments.since
@moments.until
@click.option("--correlation", type=click.UUID, metavar="ID", help="Of this chain.")
@click.option("--conversation", type=click.UUID, metavar="ID", help="Of this conversation.")
@options.limit
@options.as_json
def list_(
    org: str,
    name: str | None,
    since: datetime | None,
    until: datetime | None,
    correlation: UUID | None,
    conversation: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Signal]:
        from fleetprompt.runtime.signals.find import SignalFilter, list_signals

        chosen = SignalFilter(name, since, until, correlation, conversation)
        return await list_signals(session, chosen, limit)

    rows = [output.pick(signal, FIELDS) for signal in in_tenant(org, act)]
    columns = ("id", "occurred_at", "name", "actor_name")
    output.show_rows(rows, columns, as_json=as_json, nothing="No such signals.")


@signals.command(help=f"One signal with its payload.\n\n{options.fields(SHOWN)}")
@click.argument("signal_id", metavar="ID")
@options.org
@options.as_json
def show(signal_id: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Signal:
        from fleetprompt.runtime.signals.find import find_signal

        return await find_signal(session, parse_id(signal_id, "signal"))

    output.show_one(output.pick(in_tenant(org, act), SHOWN), as_json=as_json)


@signals.command(
    help=f"""Have handlers see chosen signals again: by IDs, by name, by time, or together.

They derive the same keys as before, so no effect is repeated.

{options.fields(REPLAYED)}"""
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@options.org
@_name
@moments.since
@moments.until
@options.as_json
def replay(
    ids: tuple[str, ...],
    org: str,
    name: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    if not (ids or name or since or until):
        raise click.UsageError("Say which signals: IDs, --name, --since or --until.")
    chosen_ids = [parse_id(signal_id, "signal") for signal_id in ids]

    async def act(house: House, session: TenantSession) -> tuple[int, int]:
        from fleetprompt.runtime.signals.replay import Chosen, replay

        chosen = Chosen(chosen_ids, name, since, until)
        return await replay(session, house.registry, chosen, operator())

    count, jobs = in_tenant(org, act)
    if as_json:
        output.show_json([dict(zip(REPLAYED, (count, jobs), strict=True))])
    else:
        output.say(f"{count} signals go to their handlers again, in {jobs} jobs.")
