"""Sessions of browsers: an opaque cookie, stored hashed. The organization chosen in one is its tenant, and nothing else is.

What a person may is looked up at each request: who is suspended or removed has lost the next page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.accounts.rights import NotAllowed
from fleetprompt.accounts.roles import MembershipStatus, Role
from fleetprompt.accounts.tokens import digest, new_token
from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Membership, Organization, User, WebSession
from fleetprompt.model.states import OrganizationState

LIFETIME: Final = timedelta(days=7)
IDLE: Final = timedelta(hours=24)
KEPT: Final = timedelta(days=90)
"""So long after its end a session's row says that its browser was let in once."""
USABLE: Final = (OrganizationState.ACTIVE, OrganizationState.SUSPENDED)

_FIND = text("""
with found as (
    select s.id, s.user_id, u.email, u.name, s.organization_id, s.seen_at from public.web_sessions s
    join public.users u on u.id = s.user_id
    where s.token_hash = :hash and s.ended_at is null and s.expires_at > now() and s.seen_at > now() - cast(:idle as interval)),
seen as (
    update public.web_sessions set seen_at = now() from found
    where web_sessions.id = found.id and found.seen_at < now() - interval '1 minute')
select found.id, found.user_id, found.email, found.name, o.slug, o.name as organization, m.role from found
left join public.memberships m on m.organization_id = found.organization_id and m.user_id = found.user_id
    and m.status = 'active'
left join public.organizations o on o.id = m.organization_id and o.state = any(:usable)
""")
_SWEEP = text("delete from public.web_sessions where expires_at < now() - cast(:kept as interval)")
_KNOWN = text(
    "select exists (select from public.web_sessions where user_id = :user_id and browser_hash = :browser_hash)"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: both values are for cookies, and are shown nowhere else. tenant: what is chosen already."""

    token: Secret
    browser: Secret
    tenant: TenantSlug | None


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in. tenant, organization, role: of what they chose; None without a choice that still holds."""

    id: UUID
    user_id: UUID
    email: str
    name: str
    tenant: TenantSlug | None
    organization: str | None
    role: Role | None


@dataclass(frozen=True, slots=True)
class Choice:
    """An organization that a person may choose."""

    slug: TenantSlug
    name: str
    role: Role


async def open_session(
    database: Database, user_id: UUID, password_hash: str, browser: Secret | None = None
) -> Opened | None:
    """After a login with the password of this hash; None if it is another meanwhile: then all sessions have ended.

    Whoever belongs to one organization only has chosen it. browser: its cookie, if it has one.
    """
    choices = await choices_of(database, user_id)
    only = choices[0].slug if len(choices) == 1 else None
    opened = Opened(new_token(), browser or new_token(), only)
    async with database.session() as session:
        await session.execute(_SWEEP, {"kept": KEPT})
        still = select(User.id).where(User.id == user_id, User.password_hash == password_hash)
        if await session.scalar(still.with_for_update(read=True)) is None:
            return None
        chosen = select(Organization.id).where(Organization.slug == only)
        session.add(
            WebSession(
                id=new_id(), token_hash=digest(opened.token), browser_hash=digest(opened.browser), user_id=user_id,
                organization_id=chosen.scalar_subquery(), expires_at=func.now() + LIFETIME,
            )
        )  # fmt: skip
    faults.reach("session.opened")
    return opened


async def find_session(database: Database, token: str) -> Session | None:
    """Who it is, and what they may here and now; None for a cookie that opens nothing (any more)."""
    values = {"hash": digest(token), "idle": IDLE, "usable": list(USABLE)}
    async with database.at_once() as connection:
        row: Any = (await connection.execute(_FIND, values)).one_or_none()
    if row is None:
        return None
    has_chosen = row.slug is not None
    return Session(
        row.id,
        row.user_id,
        row.email,
        row.name,
        TenantSlug(row.slug) if has_chosen else None,
        row.organization,
        Role(row.role) if has_chosen else None,
    )


async def choices_of(database: Database, user_id: UUID) -> list[Choice]:
    """The organizations in which this person is an active member, by name."""
    query = (
        select(Organization.slug, Organization.name, Membership.role)
        .join(Membership, Membership.organization_id == Organization.id)
        .where(
            Membership.user_id == user_id,
            Membership.status == MembershipStatus.ACTIVE,
            Organization.state.in_(USABLE),
        )
        .order_by(Organization.name, Organization.slug)
    )
    async with database.session() as session:
        rows = (await session.execute(query)).all()
    return [Choice(TenantSlug(slug), name, Role(role)) for slug, name, role in rows]


async def choose(database: Database, session: Session, slug: str) -> Choice:
    """Make one of them the tenant of this session. Raises NotAllowed for any other, whether it is there or not."""
    for choice in await choices_of(database, session.user_id):
        if choice.slug == slug:
            chosen = select(Organization.id).where(Organization.slug == slug).scalar_subquery()
            async with database.session() as registry:
                change = update(WebSession).where(WebSession.id == session.id)
                await registry.execute(change.values(organization_id=chosen))
            return choice
    raise NotAllowed("This is none of your organizations.", "Choose one of the list.")


async def end_session(database: Database, token: str) -> None:
    """The cookie opens nothing any more, whoever has a copy of it."""
    async with database.session() as session:
        ended = update(WebSession).where(
            WebSession.token_hash == digest(token), WebSession.ended_at.is_(None)
        )
        await session.execute(ended.values(ended_at=func.now()))


async def end_all(session: AsyncSession, user_id: UUID) -> None:
    """Of one person, everywhere, in the caller's transaction. The session is the registry's."""
    ended = update(WebSession).where(WebSession.user_id == user_id, WebSession.ended_at.is_(None))
    await session.execute(ended.values(ended_at=func.now()))


async def is_known(database: Database, user_id: UUID, browser: Secret) -> bool:
    """Whether this person has logged in from this browser before."""
    async with database.session() as session:
        values = {"user_id": user_id, "browser_hash": digest(browser)}
        return bool(await session.scalar(_KNOWN, values))
