"""Adding, raising, suspending and removing people; each change and its signal are one commit.

All changes of one organization wait for each other (its row in the registry is held), so that of two that would each
leave it without an owner the second sees the first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.accounts.address import Email, parse_email
from fleetprompt.accounts.members import Member, membership_of
from fleetprompt.accounts.roles import MembershipStatus, Role
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.names import MAX_CHARACTERS, checked_name
from fleetprompt.model import ApiKey, Identity, Membership, OneTimeCode, Organization, User
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a membership: added, role_changed, suspended, restored or removed. before: None if there was none."""

    what: str
    before: Member | None
    after: Member


Tell = Callable[[TenantSession, Change], Awaitable[None]]
"""Makes the change a signal, in its own transaction; the runtime has one that says who did it."""


class LastOwner(Conflict):
    """An organization without an active owner could be mended by nobody in it."""

    code = "last_owner"


async def add_member(
    session: TenantSession, tell: Tell, email: str, *, name: str = "", role: Role = Role.MEMBER
) -> Member:
    """Make a person a member; the same again changes nothing.

    name: of a person who is new to the service; empty = the address up to its @. A known person keeps their name,
    which is theirs and not this tenant's. Raises Conflict for a member who is suspended or has another role.
    """
    address = parse_email(email)
    called = checked_name(name or address.partition("@")[0][:MAX_CHARACTERS], "A person's name")
    async with in_registry(session):
        organization_id = await _hold(session)
        user_id = await _user_of(session, address, called)
        before = await membership_of(session, session.tenant, user_id)
        if before is not None and before.status != MembershipStatus.REMOVED:
            return _same(session, before, role)
        await _write(session, organization_id, user_id, role)
        after = await membership_of(session, session.tenant, user_id)
    assert after is not None
    await _tell(session, tell, Change("added", before, after))
    return after


async def set_role(session: TenantSession, tell: Tell, user_id: UUID, role: Role) -> Member:
    """Give a member another role. Raises NotFound for no member, LastOwner."""
    return await _change(session, tell, user_id, "role_changed", role=role)


async def suspend(session: TenantSession, tell: Tell, user_id: UUID) -> Member:
    """Take all rights away for a time, at once. Raises NotFound for no member, LastOwner."""
    return await _change(session, tell, user_id, "suspended", status=MembershipStatus.SUSPENDED)


async def restore(session: TenantSession, tell: Tell, user_id: UUID) -> Member:
    """End a suspension; the role is what it was. Raises NotFound for no member."""
    return await _change(session, tell, user_id, "restored", status=MembershipStatus.ACTIVE)


async def remove(session: TenantSession, tell: Tell, user_id: UUID) -> Member:
    """End the membership, and with it their accounts, codes and keys here; `add_member` begins another. Raises NotFound for no member, LastOwner."""
    return await _change(session, tell, user_id, "removed", status=MembershipStatus.REMOVED)


async def _change(
    session: TenantSession, tell: Tell, user_id: UUID, what: str, **values: Role | MembershipStatus
) -> Member:
    async with in_registry(session):
        organization_id = await _hold(session)
        before = await membership_of(session, session.tenant, user_id)
        if before is None or before.status == MembershipStatus.REMOVED:
            raise NotFound(
                f"This person is no member of {session.tenant}.",
                f"See: fleetprompt member list --org {session.tenant}",
            )
        after = replace(before, **values)  # type: ignore[arg-type]
        if after == before:
            return before
        if before.is_active_owner and not after.is_active_owner:
            await _require_another_owner(session, organization_id, before)
        chosen = (Membership.organization_id == organization_id, Membership.user_id == user_id)
        await session.execute(update(Membership).where(*chosen).values(role=after.role, status=after.status))
        if after.status == MembershipStatus.REMOVED:
            await _let_go(session, organization_id, user_id)
    await _tell(session, tell, Change(what, before, after))
    return after


async def _let_go(session: TenantSession, organization_id: UUID, user_id: UUID) -> None:
    """Their accounts, codes and keys here: whoever is added again later begins anew."""
    for table in (Identity, OneTimeCode):
        await session.execute(
            delete(table).where(table.organization_id == organization_id, table.user_id == user_id)
        )
    keys = update(ApiKey).where(ApiKey.organization_id == organization_id, ApiKey.user_id == user_id)
    open_ = ApiKey.revoked_at.is_(None) | (
        ApiKey.revoked_at > func.now()
    )  # a rotation leaves one for a while
    await session.execute(keys.where(open_).values(revoked_at=func.now()))


async def _tell(session: TenantSession, tell: Tell, change: Change) -> None:
    faults.reach("membership.written")
    await tell(session, change)


async def _hold(session: TenantSession) -> UUID:
    """The organization, held against other changes of its people. Nobody waits who merely refers to its row."""
    query = select(Organization.id).where(Organization.slug == session.tenant)
    found = await session.scalar(query.with_for_update(key_share=True))
    if found is None:
        raise NotFound(f"There is no organization {session.tenant!r}.", "See: fleetprompt org list")
    return found


async def _user_of(session: TenantSession, address: Email, name: str) -> UUID:
    new = insert(User).values(id=new_id(), email=address, name=name)
    await session.execute(new.on_conflict_do_nothing(index_elements=["email"]))
    return (await session.scalars(select(User.id).where(User.email == address))).one()


async def _write(session: TenantSession, organization_id: UUID, user_id: UUID, role: Role) -> None:
    values = {"role": role, "status": MembershipStatus.ACTIVE, "created_at": func.now()}
    new = insert(Membership).values(organization_id=organization_id, user_id=user_id, **values)
    await session.execute(
        new.on_conflict_do_update(index_elements=["user_id", "organization_id"], set_=values)
    )


async def _require_another_owner(session: TenantSession, organization_id: UUID, leaving: Member) -> None:
    others = select(func.count()).where(
        Membership.organization_id == organization_id,
        Membership.user_id != leaving.user_id,
        Membership.role == Role.OWNER,
        Membership.status == MembershipStatus.ACTIVE,
    )
    if not await session.scalar(others):
        raise LastOwner(
            f"{leaving.name} is the last active owner of {session.tenant}.",
            f"Make another first: fleetprompt member role EMAIL owner --org {session.tenant}",
        )


def _same(session: TenantSession, before: Member, role: Role) -> Member:
    """What is there already, if it is what is wanted."""
    if not before.is_active:
        raise Conflict(
            f"{before.email} is suspended in {session.tenant}.",
            f"End that: fleetprompt member restore {before.email} --org {session.tenant}",
        )
    if before.role != role:
        raise Conflict(
            f"{before.email} is {before.role} of {session.tenant} already.",
            f"Change it: fleetprompt member role {before.email} {role} --org {session.tenant}",
        )
    return before
