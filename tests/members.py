"""People for tests, and what tests do to them in processes of their own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fleetprompt.accounts import Member, Role
from fleetprompt.accounts.change import add_member, remove, restore, set_role, suspend
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime import people
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import Tenancy
from tests.house import ACME, House

OPERATOR = Actor("human", "cli:test", "test")
CHANGES = {"suspend": suspend, "restore": restore, "remove": remove}


def registry_of_people() -> Registry:
    """Knows the signals of memberships."""
    registry = Registry()
    people.register(registry)
    return registry


TELL = people.membership_teller(registry_of_people(), OPERATOR)


def address(name: str) -> str:
    """Where the person gets mail."""
    return f"{name.lower()}@acme.example"


async def joins(house: House, name: str, role: Role = Role.MEMBER, tenant: TenantSlug = ACME) -> Member:
    """A person becomes a member, in a transaction of its own."""
    async with house.tenancy.session(tenant) as session:
        return await add_member(session, TELL, address(name), name=name, role=role)


async def changed(house: House, what: str, user_id: UUID, tenant: TenantSlug = ACME) -> Member:
    """suspend, restore, remove; or a role, which the person then has."""
    async with house.tenancy.session(tenant) as session:
        if what in CHANGES:
            return await CHANGES[what](session, TELL, user_id)
        return await set_role(session, TELL, user_id, Role(what))


async def told(house: House, tenant: TenantSlug = ACME) -> list[tuple[str, Any, Any]]:
    """The signals of memberships, in order: what happened, the role before, the role now."""
    rows = await house.tenant_rows(
        tenant,
        "select name, payload->>'role_before', payload->>'role' from signals where name like 'membership.%' order by id",
    )
    return [(row[0].removeprefix("membership."), row[1], row[2]) for row in rows]


async def change(url: str, what: str, user_id: str) -> None:
    """One change in a process of its own."""
    from tests.programs import opened

    async with opened(url) as database:
        await changed(House(url, database, Tenancy(database)), what, UUID(user_id))
