"""Which of our users an account of a chat is. Rights come from this binding alone, never from what the chat says.

A binding holds in one organization, for one account id of one server: another server's account of the same id, or
the same account in another organization, is somebody else until they redeem a code there themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.accounts import codes
from fleetprompt.accounts.codes import CodeKind, Issued
from fleetprompt.accounts.facts import Fact, TellFact
from fleetprompt.accounts.members import Member, membership_of
from fleetprompt.accounts.rights import require_member_here
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Identity, Organization
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry

MAX_NAME: Final = 200
Key = tuple[str, str, str]
"""connector, server_key, subject"""


@dataclass(frozen=True, slots=True)
class Account:
    """An identity as its person sees it. is_active: False while the account is deactivated over there."""

    id: UUID
    user_id: UUID
    connector: str
    server_key: str
    subject: str
    name: str
    linked_at: datetime
    is_active: bool


async def issue_link(session: TenantSession, user_id: UUID) -> Issued:
    """A code by which a chat account becomes this user's. The former one opens nothing any more. Raises NotAllowed."""
    member = await require_member_here(session, user_id)
    async with in_registry(session):
        return await codes.issue(session, CodeKind.LINK, session.tenant, member.user_id)


async def member_behind(
    session: TenantSession, *, connector: str, server_key: str, subject: str
) -> Member | None:
    """The active member whose account this is, as of now; None for everybody else, suspended members included."""
    async with in_registry(session):
        chosen = _of(session, (connector, server_key, subject))
        user_id = await session.scalar(select(Identity.user_id).where(*chosen, _is_active()))
        if user_id is None:
            return None
        member = await membership_of(session, session.tenant, user_id)
    return member if member is not None and member.is_active else None


async def redeem_link(
    session: TenantSession,
    tell: TellFact,
    code: str,
    *,
    connector: str,
    server_key: str,
    subject: str,
    name: str,
) -> Member:
    """Bind an account to the user who made the code; the same account and user again is no error.

    Raises InvalidCode, NotAllowed for a user who is no active member (any more), Conflict for an account that is
    somebody else's here. After an error the code is as good as before.
    """
    async with in_registry(session):
        bearer = await codes.look_up(session, CodeKind.LINK, code, session.tenant)
        chosen = _of(session, (connector, server_key, subject))
        bound_to = await session.scalar(select(Identity.user_id).where(*chosen))
        if bound_to not in (None, bearer.user_id):
            raise _taken()
    member = await require_member_here(session, bearer.user_id)
    async with in_registry(session):
        await codes.redeem(session, bearer)
        values = {"name": name[:MAX_NAME], "linked_at": func.now(), "deactivated_at": None}
        bind = insert(Identity).values(
            id=new_id(), organization_id=_organization(session), user_id=bearer.user_id, connector=connector,
            server_key=server_key, subject=subject, **values,
        )  # fmt: skip
        key = ["organization_id", "connector", "server_key", "subject"]
        mine = Identity.user_id == bearer.user_id
        bound = await session.execute(
            bind.on_conflict_do_update(index_elements=key, set_=values, where=mine).returning(
                Identity.user_id
            )
        )
        if bound.scalar_one_or_none() is None:  # somebody else was quicker by an instant
            raise _taken()
    await _tell(session, tell, "linked", member.user_id, (connector, server_key, subject))
    return member


async def unlink(
    session: TenantSession, tell: TellFact, *, connector: str, server_key: str, subject: str
) -> None:
    """The account is nobody's from here on. Raises NotFound for one that is not linked."""
    async with in_registry(session):
        gone = delete(Identity).where(*_of(session, (connector, server_key, subject)))
        user_id = (await session.execute(gone.returning(Identity.user_id))).scalar_one_or_none()
    if user_id is None:
        raise NotFound(
            "This account is not linked to anybody.", "Link it: see the page `/link` of FleetPrompt."
        )
    await _tell(session, tell, "unlinked", user_id, (connector, server_key, subject))


async def rename(
    session: TenantSession, tell: TellFact, *, connector: str, server_key: str, subject: str, name: str
) -> bool:
    """The account has another name over there, and keeps its rights. Returns whether anything changed."""
    changed = Identity.name != name[:MAX_NAME]
    return await _change(
        session, tell, "renamed", (connector, server_key, subject), changed, name=name[:MAX_NAME]
    )


async def deactivate(
    session: TenantSession, tell: TellFact, *, connector: str, server_key: str, subject: str
) -> bool:
    """The account is deactivated over there: it gives no rights here either. Returns whether anything changed."""
    values = {"deactivated_at": func.now()}
    return await _change(
        session, tell, "deactivated", (connector, server_key, subject), _is_active(), **values
    )


async def reactivate(
    session: TenantSession, tell: TellFact, *, connector: str, server_key: str, subject: str
) -> bool:
    """The account is active again over there, and so are its rights here. Returns whether anything changed."""
    values = {"deactivated_at": None}
    return await _change(
        session, tell, "reactivated", (connector, server_key, subject), ~_is_active(), **values
    )


async def accounts_of(session: TenantSession, user_id: UUID) -> list[Account]:
    """What a user has linked in this organization, the oldest first."""
    async with in_registry(session):
        here = (Identity.organization_id == _organization(session), Identity.user_id == user_id)
        found = await session.scalars(select(Identity).where(*here).order_by(Identity.linked_at, Identity.id))
        return [_as_account(one) for one in found]


async def linked_here(session: TenantSession) -> list[Account]:
    """Of everybody in this organization."""
    async with in_registry(session):
        here = Identity.organization_id == _organization(session)
        found = await session.scalars(select(Identity).where(here).order_by(Identity.id))
        return [_as_account(one) for one in found]


async def unlink_own(session: TenantSession, tell: TellFact, user_id: UUID, identity_id: UUID) -> Account:
    """A user lets go of an account of their own. Raises NotFound for one that is not theirs here."""
    for account in await accounts_of(session, user_id):
        if account.id == identity_id:
            await unlink(
                session,
                tell,
                connector=account.connector,
                server_key=account.server_key,
                subject=account.subject,
            )
            return account
    raise NotFound("You have no such account here.", "It may be unlinked already: load the page again.")


async def _change(
    session: TenantSession,
    tell: TellFact,
    what: str,
    key: Key,
    applies: ColumnElement[bool],
    **values: object,
) -> bool:
    async with in_registry(session):
        change = update(Identity).where(*_of(session, key), applies)
        user_id = (
            await session.execute(change.values(**values).returning(Identity.user_id))
        ).scalar_one_or_none()
    if user_id is None:
        return False
    await _tell(session, tell, what, user_id, key)
    return True


async def _tell(session: TenantSession, tell: TellFact, what: str, user_id: UUID, key: Key) -> None:
    faults.reach("identity.written")
    connector, server_key, subject = key
    payload = {"user_id": str(user_id), "connector": connector, "server_key": server_key, "subject": subject}
    await tell(session, Fact(f"identity.{what}", payload))


def _of(session: TenantSession, key: Key) -> tuple[ColumnElement[bool], ...]:
    connector, server_key, subject = key
    return (
        Identity.organization_id == _organization(session),
        Identity.connector == connector,
        Identity.server_key == server_key,
        Identity.subject == subject,
    )


def _organization(session: TenantSession) -> ColumnElement[UUID]:
    return select(Organization.id).where(Organization.slug == session.tenant).scalar_subquery()


def _is_active() -> ColumnElement[bool]:
    return Identity.deactivated_at.is_(None)


def _taken() -> Conflict:
    return Conflict(
        "This account is linked to another person of the organization.",
        "They unlink it first, on their page `/account`.",
    )


def _as_account(row: Identity) -> Account:
    return Account(
        row.id, row.user_id, row.connector, row.server_key, row.subject, row.name, row.linked_at,
        row.deactivated_at is None,
    )  # fmt: skip
