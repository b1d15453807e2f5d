"""What people do to prove who they are, for tests; each step in a transaction of its own."""

from __future__ import annotations

from fleetprompt.accounts import Role, claims, identities
from fleetprompt.accounts.codes import Issued
from fleetprompt.accounts.members import Member
from fleetprompt.accounts.passwords import Passwords
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.runtime.people import fact_teller
from tests.house import ACME, House
from tests.members import OPERATOR, joins, registry_of_people

TELL = fact_teller(registry_of_people(), OPERATOR)
PASSWORD = "four words nobody knows"
SERVER = "https://chat.acme.example"


def quick_passwords() -> Passwords:
    """argon2id as it is, but with parameters for tests alone."""
    return Passwords(time_cost=1, memory_kib=8, lanes=1)


async def claims_account(house: House, member: Member, tenant: TenantSlug = ACME) -> None:
    """The member sets PASSWORD."""
    async with house.tenancy.session(tenant) as session:
        issued = await claims.issue_claim(session, TELL, member.user_id)
    await claims.redeem_claim(
        house.tenancy, quick_passwords(), lambda _: TELL, issued.code.reveal(), Secret(PASSWORD)
    )


async def joins_with_password(
    house: House, name: str, role: Role = Role.MEMBER, tenant: TenantSlug = ACME
) -> Member:
    """A member who can log in."""
    member = await joins(house, name, role, tenant)
    await claims_account(house, member, tenant)
    return member


async def link_code(house: House, member: Member, tenant: TenantSlug = ACME) -> Issued:
    """As the page makes it."""
    async with house.tenancy.session(tenant) as session:
        return await identities.issue_link(session, member.user_id)


async def links(
    house: House,
    code: str,
    subject: str,
    *,
    tenant: TenantSlug = ACME,
    connector: str = "mattermost",
    server_key: str = SERVER,
    name: str = "",
) -> Member:
    """`@fleet link CODE`, as a command of the chat does it."""
    async with house.tenancy.session(tenant) as session:
        return await identities.redeem_link(
            session,
            TELL,
            code,
            connector=connector,
            server_key=server_key,
            subject=subject,
            name=name or subject,
        )


async def behind(
    house: House,
    subject: str,
    *,
    tenant: TenantSlug = ACME,
    connector: str = "mattermost",
    server_key: str = SERVER,
) -> Member | None:
    """Who writes."""
    async with house.tenancy.session(tenant) as session:
        return await identities.member_behind(
            session, connector=connector, server_key=server_key, subject=subject
        )
