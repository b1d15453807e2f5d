"""What people do to prove who they are, for tests; each step in a transaction of its own."""

from __future__ import annotations

from uuid import UUID

from fleetprompt.accounts import Role, api_keys, claims, identities, login
from fleetprompt.accounts.codes import Issued
from fleetprompt.accounts.login import Caller
from fleetprompt.accounts.members import Member
from fleetprompt.accounts.passwords import Passwords
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.runtime.people import fact_teller
from fleetprompt.tenancy import Tenancy
from tests.house import ACME, House
from tests.members import OPERATOR, address, joins, registry_of_people

TELL = fact_teller(registry_of_people(), OPERATOR)
PASSWORD = "four sandboxsecret words nobody knows"
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


async def step(url: str, what: str, user_id: str, code: str) -> None:
    """One step of proving who one is, in a process of its own."""
    from tests.programs import opened

    user = UUID(user_id)
    async with opened(url) as database:
        house = House(url, database, Tenancy(database))
        if what == "claim":
            await claims.redeem_claim(
                house.tenancy, quick_passwords(), lambda _: TELL, code, Secret(PASSWORD)
            )
        elif what == "link":
            await links(house, code, "dana-id")
        elif what == "login":
            await login.log_in(
                database, quick_passwords(), address("Ada"), Secret(PASSWORD), Caller("192.0.2.1")
            )
        else:
            async with house.tenancy.session(ACME) as session:
                await api_keys.create_key(session, TELL, user, name="ci", scopes=[], days=1)
