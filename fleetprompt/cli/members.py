"""`fleetprompt member`: the people of an organization, and what each may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.accounts import Member
    from fleetprompt.accounts.change import Tell
    from fleetprompt.composition import House
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.tenancy import TenantSession

FIELDS = ("user_id", "email", "name", "role", "status", "created_at")
ROLES: Final = ("member", "admin", "owner")


@click.group("member")
def members() -> None:
    """Members: the people of an organization; an owner may all, an admin may decide, a member may ask."""


@members.command("list", help=f"Everybody but those who were removed.\n\n{options.fields(FIELDS)}")
@options.org
@options.as_json
def list_(org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Member]:
        from fleetprompt.accounts import members as members_of

        return await members_of(session)

    rows = [output.pick(member, FIELDS) for member in in_tenant(org, act)]
    nothing = f"There is nobody yet. Add somebody: fleetprompt member add EMAIL --role owner --org {org}"
    output.show_rows(rows, FIELDS[1:], as_json=as_json, nothing=nothing)


@members.command(help=f"Make a person a member; the same again changes nothing.\n\n{options.fields(FIELDS)}")
@click.argument("email")
@options.org
@click.option("--name", default="", help="Of a person who is new here; as the address, if not given.")
@click.option("--role", type=click.Choice(ROLES), default="member", show_default=True, help="What they may.")
@options.as_json
def add(email: str, org: str, name: str, role: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> Member:
        from fleetprompt.accounts import Role
        from fleetprompt.accounts.change import add_member

        return await add_member(session, teller(house), email, name=name, role=Role(role))

    _show(in_tenant(org, act), org, as_json)


@members.command(help=f"Give a member another role. The last owner stays one.\n\n{options.fields(FIELDS)}")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
@options.org
@options.as_json
def role(email: str, role: str, org: str, as_json: bool) -> None:
    from fleetprompt.accounts import Role

    _change("set_role", email, org, as_json, Role(role))


@members.command(
    help=f"""Take a member's rights away for a time, at once.

What they approved and what has not begun is not done any more.

{options.fields(FIELDS)}"""
)
@click.argument("email")
@options.org
@options.as_json
def suspend(email: str, org: str, as_json: bool) -> None:
    _change("suspend", email, org, as_json)


@members.command(help=f"End a suspension; the role is what it was.\n\n{options.fields(FIELDS)}")
@click.argument("email")
@options.org
@options.as_json
def restore(email: str, org: str, as_json: bool) -> None:
    _change("restore", email, org, as_json)


@members.command(
    help=f"End a membership. The person stays what they are elsewhere.\n\n{options.fields(FIELDS)}"
)
@click.argument("email")
@options.org
@options.as_json
def remove(email: str, org: str, as_json: bool) -> None:
    _change("remove", email, org, as_json)


def teller(house: House) -> Tell:
    """What makes a change by the operator a signal."""
    from fleetprompt.runtime.people import membership_teller

    return membership_teller(house.registry, operator())


async def check_owner(house: House, email: str | None) -> None:
    """Before an organization is made for them. Raises InvalidInput for an address, or a setting, that cannot be used."""
    if email is not None:
        from fleetprompt.accounts import parse_email

        parse_email(email)
        teller(house)


async def make_owner(house: House, tenant: TenantSlug, email: str | None) -> None:
    """Idempotent: after a death between the organization and its owner, the same command makes the owner."""
    if email is not None:
        from fleetprompt.accounts import Role
        from fleetprompt.accounts.change import add_member

        async with house.tenancy.session(tenant) as session:
            await add_member(session, teller(house), email, role=Role.OWNER)


def _change(verb: str, email: str, org: str, as_json: bool, *values: Any) -> None:
    async def act(house: House, session: TenantSession) -> Member:
        from fleetprompt.accounts import change, find_member

        member = await find_member(session, email)
        changed: Member = await getattr(change, verb)(session, teller(house), member.user_id, *values)
        return changed

    _show(in_tenant(org, act), org, as_json)


def _show(member: Member, org: str, as_json: bool) -> None:
    if as_json:
        output.show_json([output.pick(member, FIELDS)])
    else:
        output.say(f"{member.email} is {member.role} of {org}, {member.status}.")
