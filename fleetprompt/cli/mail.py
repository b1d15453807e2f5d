"""`fleetprompt mail`: addresses that are not written to, and what came as raw bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator, parse_id

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import SuppressedAddress
    from fleetprompt.tenancy import TenantSession

FIELDS = ("address", "reason", "directive_id", "signal_id", "created_at")
SAVED = ("path", "name", "bytes")

to = click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="The new file; none is replaced."
)


@click.group("mail")
def mail() -> None:
    """Mail: suppressed addresses, attachments, raw mails."""


@mail.group()
def suppressed() -> None:
    """Addresses whose mail came back: nothing is sent to them."""


@suppressed.command("list", help=f"Which, why, and since when.\n\n{options.fields(FIELDS)}")
@options.org
@options.limit
@options.as_json
def list_(org: str, limit: int, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[SuppressedAddress]:
        from fleetprompt.connectors.proton_mail.suppression import list_suppressed

        return await list_suppressed(session, limit)

    rows = [output.pick(one, FIELDS) for one in in_tenant(org, act)]
    output.show_rows(
        rows, ("address", "reason", "created_at"), as_json=as_json, nothing="No address is suppressed."
    )


@suppressed.command(
    help=f"Write to an address again; what failed goes out by `directives retry`.\n\n{options.fields(FIELDS)}"
)
@click.argument("address")
@options.org
@options.as_json
def restore(address: str, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> SuppressedAddress:
        from fleetprompt.connectors.proton_mail.suppression import restore

        return await restore(session, house.registry, address, operator())

    row = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(row, FIELDS)])
    else:
        output.say(output.harmless(f"{row.address} is written to again."))


@mail.group()
def attachment() -> None:
    """Attachments of incoming mail, as `signals show` lists them."""


@attachment.command(help=f"Save the nth attachment of a mail's signal.\n\n{options.fields(SAVED)}")
@click.argument("signal_id", metavar="ID")
@click.argument("number", type=click.IntRange(min=1))
@options.org
@to
@options.as_json
def save(signal_id: str, number: int, org: str, to: Path, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> tuple[str, bytes]:
        from fleetprompt.connectors.proton_mail.attachments import read_attachment

        return await read_attachment(session, parse_id(signal_id, "signal"), number)

    _save(org, act, to, as_json)


@mail.command(help=f"Save a mail as it came, of a quarantined one too.\n\n{options.fields(SAVED)}")
@click.argument("signal_id", metavar="ID")
@options.org
@to
@options.as_json
def raw(signal_id: str, org: str, to: Path, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> tuple[str, bytes]:
        from fleetprompt.connectors.proton_mail.attachments import read_mail

        return "mail.eml", await read_mail(session, parse_id(signal_id, "signal"))

    _save(org, act, to, as_json)


def _save(
    org: str, act: Callable[[House, TenantSession], Awaitable[tuple[str, bytes]]], to: Path, as_json: bool
) -> None:
    from fleetprompt.kernel.errors import Conflict

    name, content = in_tenant(org, act)
    try:
        with to.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise Conflict(f"{to} is there already.", "Give another file: --to FILE.") from None
    if as_json:
        output.show_json([{"path": str(to), "name": name, "bytes": len(content)}])
    else:
        output.say(output.harmless(f"{name}: {len(content)} bytes in {to}."))
