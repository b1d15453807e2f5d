"""Looking people up. Who belongs where is in the registry; a tenant sees its own members alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.accounts.address import parse_email
from fleetprompt.accounts.roles import MembershipStatus, Role
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Membership, Organization, User
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry


@dataclass(frozen=True, slots=True)
class Member:
    """A person in one organization. created_at: since when, the last time they were added."""

    user_id: UUID
    email: str
    name: str
    role: Role
    status: MembershipStatus
    created_at: datetime

    @property
    def is_active(self) -> bool:
        """Whether the role gives any rights at present."""
        return self.status == MembershipStatus.ACTIVE

    @property
    def is_active_owner(self) -> bool:
        """One of those of whom an organization must not lose the last."""
        return self.is_active and self.role == Role.OWNER


async def find_user(database: Database, email: str) -> User:
    """The person of an address, in whatever organizations. Raises NotFound."""
    address = parse_email(email)
    async with database.session() as session:
        user = await session.scalar(select(User).where(User.email == address))
    if user is None:
        raise NotFound(f"There is no user {address}.", "Add them: fleetprompt member add EMAIL --org ...")
    return user


async def find_member(session: TenantSession, email: str) -> Member:
    """A member of this tenant, suspended or not, by address. Raises NotFound."""
    address = parse_email(email)
    async with in_registry(session):
        row = (await session.execute(those_of(session.tenant).where(User.email == address))).one_or_none()
    if row is None or row.status == MembershipStatus.REMOVED:
        raise NotFound(
            f"{address} is no member of {session.tenant}.",
            f"See: fleetprompt member list --org {session.tenant}",
        )
    return as_member(row)


async def members(session: TenantSession) -> list[Member]:
    """Everybody in this tenant but those who were removed: the longest there first."""
    present = those_of(session.tenant).where(Membership.status != MembershipStatus.REMOVED)
    async with in_registry(session):
        rows = await session.execute(present.order_by(Membership.created_at, User.email))
        return [as_member(row) for row in rows]


async def membership_of(session: AsyncSession, tenant: TenantSlug, user_id: UUID) -> Member | None:
    """A membership of whatever status, held unchanged to the end of the transaction. The session is the registry's."""
    query = those_of(tenant).where(Membership.user_id == user_id)
    row = (await session.execute(query.with_for_update(read=True, of=Membership))).one_or_none()
    return None if row is None else as_member(row)


def those_of(tenant: TenantSlug) -> Select[UUID, str, str, str, str, datetime]:
    """The columns of a `Member`, for one tenant."""
    return (
        select(User.id, User.email, User.name, Membership.role, Membership.status, Membership.created_at)
        .join_from(Membership, User)
        .join(Organization)
        .where(Organization.slug == tenant)
    )


def as_member(row: Row[UUID, str, str, str, str, datetime]) -> Member:
    """A row of `those_of`."""
    user_id, email, name, role, status, created_at = row
    return Member(user_id, email, name, Role(role), MembershipStatus(status), created_at)
