"""`fleetprompt bootstrap`, `fleetprompt member claim`: how the first person gets in, and one who lost their password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.members import check_owner, make_owner
from fleetprompt.cli.running import in_house, in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.accounts import Member
    from fleetprompt.composition import House
    from fleetprompt.tenancy import TenantSession

FIELDS = ("org", "email", "role", "code", "url", "expires_at")


@click.command(
    help=f"""Make an organization with its owner, and print the code by which they set a password.

The same again makes another code, and the former opens nothing; once a password is set it changes nothing and there
is no code: `fleetprompt member claim` is for a lost one.

{options.fields(FIELDS)}"""
)
@options.org
@click.option("--owner", required=True, metavar="EMAIL", help="Who owns it.")
@options.as_json
def bootstrap(org: str, owner: str, as_json: bool) -> None:
    async def act(house: House) -> dict[str, Any]:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.organizations import create_organization

        slug = parse_slug(org)
        await check_owner(house, owner)
        await create_organization(house.database, slug)
        await make_owner(house, slug, owner)
        async with house.tenancy.session(slug) as session:
            return await _claim(house, session, owner, again=False)

    _show(in_house(act), as_json)


@click.command(
    help=f"""A code by which a member sets a new password; the former code opens nothing any more.

Whoever has the code can become this person, in all their organizations: hand it to them alone. Their sessions end when
they use it.

{options.fields(FIELDS)}"""
)
@click.argument("email")
@options.org
@options.as_json
def claim(email: str, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> dict[str, Any]:
        return await _claim(house, session, email, again=True)

    _show(in_tenant(org, act), as_json)


async def _claim(house: House, session: TenantSession, email: str, *, again: bool) -> dict[str, Any]:
    """again: also for somebody who has a password."""
    from fleetprompt.accounts import claims, find_member
    from fleetprompt.runtime.people import fact_teller

    member = await find_member(session, email)
    address = house.settings.public_address
    if not again and await claims.has_password(session, member.user_id):
        return _row(session, member, url=f"{address}/login")
    tell = fact_teller(house.registry, operator())
    issued = await claims.issue_claim(session, tell, member.user_id)
    return _row(
        session, member, code=issued.code.reveal(), url=f"{address}/claim", expires_at=issued.expires_at
    )


def _row(session: TenantSession, member: Member, **claimed: Any) -> dict[str, Any]:
    who = {"org": session.tenant, "email": member.email, "role": member.role}
    return {**dict.fromkeys(FIELDS), **who, **claimed}


def _show(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.show_json([row])
        return
    output.say(f"{row['email']} is {row['role']} of {row['org']}.")
    if row["code"] is None:
        output.say(f"They have a password: {row['url']}")
        output.say(f"If it is lost: fleetprompt member claim {row['email']} --org {row['org']}")
        return
    output.say(f"Claim code: {row['code']}")
    output.say(f"It works once, until {row['expires_at']:%Y-%m-%d %H:%M} UTC, on {row['url']}")
    output.say("Pages are served by `fleetprompt up`. The code is not shown again.")
