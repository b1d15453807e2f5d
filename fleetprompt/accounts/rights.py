"""Who may: asked again wherever a person is meant, since what was true when they asked may be true no longer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.accounts.members import Member, membership_of
from fleetprompt.accounts.roles import MembershipStatus, Role
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Membership, Organization, User
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry

NAMED = 3
"""So many of those who may are named to a member who may not."""
ALLOWED = {Role.MEMBER: "a member", Role.ADMIN: "an admin or owner", Role.OWNER: "an owner"}


class NotAllowed(FleetPromptError):
    """The person has not the right, here and now; the advice says who has."""

    code = "not_allowed"


async def require_member(
    database: Database, tenant: TenantSlug, user_id: UUID, at_least: Role = Role.MEMBER
) -> Member:
    """An active member of this role or a higher one. Raises NotAllowed."""
    async with database.session() as session:
        return await _require(session, tenant, user_id, at_least)


async def require_member_here(session: TenantSession, user_id: UUID, at_least: Role = Role.MEMBER) -> Member:
    """The same in a tenant's transaction: nobody can take the right away before it has committed."""
    async with in_registry(session):
        return await _require(session, session.tenant, user_id, at_least)


async def _require(session: AsyncSession, tenant: TenantSlug, user_id: UUID, at_least: Role) -> Member:
    member = await membership_of(session, tenant, user_id)
    if member is None or member.status == MembershipStatus.REMOVED:
        raise NotAllowed(  # a stranger is told nothing about who is here
            f"This person is no member of {tenant}.",
            "Its owners and admins may add them: fleetprompt member add",
        )
    if not member.is_active:
        raise NotAllowed(
            f"{member.name} is suspended in {tenant}.",
            "Its owners and admins may end that: fleetprompt member restore",
        )
    if member.role < at_least:
        raise NotAllowed(
            f"{member.name} is {member.role} of {tenant}, and this takes {ALLOWED[at_least]}.",
            await _who_may(session, tenant, at_least),
        )
    return member


async def _who_may(session: AsyncSession, tenant: TenantSlug, at_least: Role) -> str:
    roles = [role for role in Role if role >= at_least]
    query = (
        select(User.name)
        .join_from(Membership, User)
        .join(Organization)
        .where(
            Organization.slug == tenant,
            Membership.status == MembershipStatus.ACTIVE,
            Membership.role.in_(roles),
        )
        .order_by(Membership.created_at, User.id)
    )
    names = list(await session.scalars(query.limit(NAMED)))
    return (
        f"Ask {' or '.join(names)}." if names else "Nobody here may; make an owner: fleetprompt member role"
    )
