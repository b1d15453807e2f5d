"""`fleetprompt key`: keys for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.accounts.api_keys import Key, NewKey
    from fleetprompt.accounts.facts import TellFact
    from fleetprompt.composition import House
    from fleetprompt.tenancy import TenantSession

FIELDS = (
    "id", "name", "hint", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at", "replaces",
)  # fmt: skip
NEW = (*FIELDS, "token")


@click.group("key")
def keys() -> None:
    """Keys for programs: each for one organization, with at most the rights of one member, until a day."""


@keys.command(
    "list", help=f"All keys, ended ones too; never the keys themselves.\n\n{options.fields(FIELDS)}"
)
@options.org
@options.as_json
def list_(org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Key]:
        from fleetprompt.accounts.api_keys import keys_of

        return await keys_of(session)

    rows = [output.pick(key, FIELDS) for key in in_tenant(org, act)]
    shown = ("id", "name", "hint", "user", "scopes", "expires_at", "revoked_at")
    nothing = f"There is none. Make one: fleetprompt key create NAME --for EMAIL --org {org}"
    output.show_rows(rows, shown, as_json=as_json, nothing=nothing)


@keys.command(
    help=f"""Make a key, and show it once. It is sent as `Authorization: Bearer fpk_...`.

Scopes: members:read (for keys of admins), installations:read.

{options.fields(NEW)}"""
)
@click.argument("name")
@click.option("--for", "email", required=True, metavar="EMAIL", help="The member it acts for.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it may; several times.")
@click.option("--days", type=int, default=90, show_default=True, help="Until it expires; at most 366.")
@options.org
@options.as_json
def create(name: str, email: str, scopes: tuple[str, ...], days: int, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> NewKey:
        from fleetprompt.accounts import find_member
        from fleetprompt.accounts.api_keys import create_key

        member = await find_member(session, email)
        return await create_key(session, _tell(house), member.user_id, name=name, scopes=scopes, days=days)

    _show_new(in_tenant(org, act), as_json)


@keys.command(
    help=f"""Replace a key by a new one of the same name, scopes and lifetime.

{options.fields(NEW)}"""
)
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 168),
    default=0,
    show_default=True,
    help="The old one works on so long.",
)
@options.org
@options.as_json
def rotate(key_id: str, overlap_hours: int, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> NewKey:
        from fleetprompt.accounts.api_keys import rotate_key

        return await rotate_key(session, _tell(house), _id(key_id, org), overlap_hours=overlap_hours)

    _show_new(in_tenant(org, act), as_json)


@keys.command(help=f"End a key, at once.\n\n{options.fields(FIELDS)}")
@click.argument("key_id")
@options.org
@options.as_json
def revoke(key_id: str, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> Key:
        from fleetprompt.accounts.api_keys import revoke_key

        return await revoke_key(session, _tell(house), _id(key_id, org))

    ended = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(ended, FIELDS)])
    else:
        output.say(f"{ended.name} ({ended.hint}...) opens nothing any more.")


def _id(text: str, org: str) -> UUID:
    from fleetprompt.kernel.errors import InvalidInput

    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(
            f"{text[:60]!r} is no id of a key.", f"Take it from: fleetprompt key list --org {org}"
        ) from None


def _tell(house: House) -> TellFact:
    from fleetprompt.runtime.people import fact_teller

    return fact_teller(house.registry, operator())


def _show_new(made: NewKey, as_json: bool) -> None:
    row: dict[str, Any] = {**output.pick(made.key, FIELDS), "token": made.token.reveal()}
    if as_json:
        output.show_json([row])
        return
    output.say(
        f"{made.key.name} acts for {made.key.user} until {made.key.expires_at:%Y-%m-%d}. It is not shown again:"
    )
    output.say(row["token"])
