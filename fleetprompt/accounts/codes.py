"""One-time codes: made for one person in one organization, and used once, however many use them at the same instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.accounts.tokens import digest, new_code, read_code
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import OneTimeCode, Organization


class CodeKind(StrEnum):
    """claim: sets a password, on a page. link: binds a chat account, in a direct message."""

    CLAIM = "claim"
    LINK = "link"


LIFETIME: Final = {CodeKind.CLAIM: timedelta(days=3), CodeKind.LINK: timedelta(minutes=15)}
GROUPS: Final = {CodeKind.CLAIM: 5, CodeKind.LINK: 3}  # 100 bits and 60 bits
ANOTHER: Final = {
    CodeKind.CLAIM: "Let the operator make another: fleetprompt member claim EMAIL --org ...",
    CodeKind.LINK: "Make another on the page `/link` of FleetPrompt.",
}


class InvalidCode(FleetPromptError):
    """It opens nothing, or no more; says why."""

    code = "invalid_code"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new code, to be shown once."""

    code: Secret
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose code it is."""

    id: UUID
    kind: CodeKind
    tenant: TenantSlug
    user_id: UUID


async def issue(session: AsyncSession, kind: CodeKind, tenant: TenantSlug, user_id: UUID) -> Issued:
    """Make a code; those of the same kind that this person had here open nothing any more. The session is the registry's."""
    organization = select(Organization.id).where(Organization.slug == tenant).scalar_subquery()
    await session.execute(
        delete(OneTimeCode).where(
            OneTimeCode.kind == kind,
            OneTimeCode.user_id == user_id,
            OneTimeCode.organization_id == organization,
        )
    )
    code = new_code(GROUPS[kind])
    made = OneTimeCode(
        id=new_id(), kind=kind, user_id=user_id, code_hash=digest(code), organization_id=organization,
        expires_at=func.now() + LIFETIME[kind],
    )  # fmt: skip
    session.add(made)
    await session.flush()
    faults.reach("code.issued")
    await session.refresh(made, ["expires_at"])
    return Issued(code, made.expires_at)


async def look_up(
    session: AsyncSession, kind: CodeKind, typed: str, tenant: TenantSlug | None = None
) -> Bearer:
    """Whose it is; it stays what it is. Raises InvalidCode with the reason why it opens nothing.

    tenant: where it is shown; another's code is as good as none there.
    """
    query = (
        select(OneTimeCode, Organization.slug, (OneTimeCode.expires_at > func.now()).label("is_fresh"))
        .join(Organization, Organization.id == OneTimeCode.organization_id)
        .where(OneTimeCode.code_hash == digest(read_code(typed)), OneTimeCode.kind == kind)
    )
    row: Any = (await session.execute(query)).one_or_none()
    if row is None or tenant not in (None, row.slug):
        raise InvalidCode(
            "This code opens nothing: it is mistyped, or a newer one took its place.", ANOTHER[kind]
        )
    code: OneTimeCode = row.OneTimeCode
    if code.used_at is not None:
        raise InvalidCode("This code was used already, and it works once.", ANOTHER[kind])
    if not row.is_fresh:
        raise InvalidCode("This code has expired.", ANOTHER[kind])
    return Bearer(code.id, kind, TenantSlug(row.slug), code.user_id)


async def redeem(session: AsyncSession, bearer: Bearer) -> None:
    """Use it up, in the caller's transaction. Of two at once the second waits for the first. Raises InvalidCode."""
    use = update(OneTimeCode).where(OneTimeCode.id == bearer.id, OneTimeCode.used_at.is_(None))
    used = await session.execute(use.values(used_at=func.now()).returning(OneTimeCode.id))
    if used.one_or_none() is None:
        raise InvalidCode("This code was used in this very moment, and it works once.", ANOTHER[bearer.kind])
    faults.reach("code.redeemed")
