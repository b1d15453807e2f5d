"""`fleetprompt member accounts`, `fleetprompt member unlink`: which accounts of a chat a member has linked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.accounts.identities import Account
    from fleetprompt.composition import House
    from fleetprompt.tenancy import TenantSession

FIELDS = ("id", "user_id", "connector", "server_key", "subject", "name", "linked_at", "is_active")


@click.command(help=f"The chat accounts that a member has linked.\n\n{options.fields(FIELDS)}")
@click.argument("email")
@options.org
@options.as_json
def accounts(email: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Account]:
        from fleetprompt.accounts import find_member
        from fleetprompt.accounts.identities import accounts_of

        return await accounts_of(session, (await find_member(session, email)).user_id)

    rows = [output.pick(account, FIELDS) for account in in_tenant(org, act)]
    shown = ("id", "connector", "server_key", "name", "linked_at")
    nothing = f"{email} has linked none. They do it themselves, on the page /link."
    output.show_rows(rows, shown, as_json=as_json, nothing=nothing)


@click.command(
    help=f"Take a linked account from a member: it gives no rights any more.\n\n{options.fields(FIELDS)}"
)
@click.argument("email")
@click.argument("account_id")
@options.org
@options.as_json
def unlink(email: str, account_id: str, org: str, as_json: bool) -> None:
    async def act(house: House, session: TenantSession) -> Account:
        from fleetprompt.accounts import find_member
        from fleetprompt.accounts.identities import unlink_own
        from fleetprompt.runtime.people import fact_teller

        member = await find_member(session, email)
        tell = fact_teller(house.registry, operator())
        return await unlink_own(session, tell, member.user_id, _id(account_id, email, org))

    gone = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(gone, FIELDS)])
    else:
        output.say(f"{output.harmless(gone.name)} is nobody's any more in {org}.")


def _id(text: str, email: str, org: str) -> UUID:
    from fleetprompt.kernel.errors import InvalidInput

    try:
        return UUID(text)
    except ValueError:
        listing = f"fleetprompt member accounts {email} --org {org}"
        raise InvalidInput(
            f"{text[:60]!r} is no id of a linked account.", f"Take it from: {listing}"
        ) from None
