"""Claim codes: how a person gets their first password, or another when it is lost. The operator hands them over.

Only whoever has a shell on the host makes them: an admin of one organization must not become the person everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.accounts import codes, sessions
from fleetprompt.accounts.codes import CodeKind, Issued
from fleetprompt.accounts.facts import Fact, TellFact
from fleetprompt.accounts.members import Member
from fleetprompt.accounts.passwords import Passwords, check_password
from fleetprompt.accounts.rights import require_member_here
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import User
from fleetprompt.tenancy import Tenancy, TenantSession
from fleetprompt.tenancy.registry import in_registry


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Who claimed their account, in which organization; by the hash a session is opened."""

    user_id: UUID
    tenant: TenantSlug
    password_hash: str


async def issue_claim(session: TenantSession, tell: TellFact, user_id: UUID) -> Issued:
    """A code for an active member; the former one opens nothing any more. Raises NotAllowed for no such member."""
    await require_member_here(session, user_id)
    async with in_registry(session):
        issued = await codes.issue(session, CodeKind.CLAIM, session.tenant, user_id)
    await tell(session, Fact("claim.issued", {"user_id": str(user_id)}))
    return issued


async def has_password(session: TenantSession, user_id: UUID) -> bool:
    """Whether this person claimed their account already."""
    async with in_registry(session):
        return await session.scalar(select(User.password_hash).where(User.id == user_id)) is not None


async def redeem_claim(
    tenancy: Tenancy, passwords: Passwords, tell_as: Callable[[Member], TellFact], code: str, password: Secret
) -> Redeemed:
    """Set the password of the code's person, and end their sessions everywhere. tell_as: that person did it.

    Raises InvalidCode, NotAllowed for a member who is suspended, InvalidInput for a password that is none: the code is
    as good as before.
    """
    async with tenancy.database.session() as session:
        bearer = await codes.look_up(session, CodeKind.CLAIM, code)
        email = await session.scalar(select(User.email).where(User.id == bearer.user_id))
    check_password(password, email=email or "")
    hashed = await passwords.hashed(password)
    async with tenancy.session(bearer.tenant) as session:
        async with in_registry(session):
            await codes.redeem(session, bearer)
            await set_password(session, bearer.user_id, hashed)
        member = await require_member_here(session, bearer.user_id)
        await tell_as(member)(session, Fact("claim.redeemed", {"user_id": str(bearer.user_id)}))
    return Redeemed(bearer.user_id, bearer.tenant, hashed)


async def set_password(session: AsyncSession, user_id: UUID, hashed: str) -> None:
    """Whoever is logged in as this person, anywhere, is so no longer."""
    values = {"password_hash": hashed, "password_set_at": func.now()}
    await session.execute(update(User).where(User.id == user_id).values(**values))
    await sessions.end_all(session, user_id)
