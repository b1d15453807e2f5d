"""Keys for programs: bound to one organization and to the user they act for, scoped, expiring, shown once.

A key never gives more than its user has at that moment: whoever is suspended has keys that open nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, func, select, text, update

from fleetprompt.accounts.facts import Fact, TellFact
from fleetprompt.accounts.rights import ALLOWED, NotAllowed, require_member_here
from fleetprompt.accounts.roles import Role
from fleetprompt.accounts.tokens import digest, new_token
from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import ApiKey, Organization, User
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry

PREFIX: Final = "fpk_"
"""By which scanners of secrets know a key."""
HINT_CHARACTERS: Final = len(PREFIX) + 6
MAX_DAYS: Final = 366
SCOPES: Final = {
    "members:read": Role.ADMIN,
    "installations:read": Role.MEMBER,
}
"""What a key may be given, and which role its user needs for it, when it is made and whenever it is used."""

_AUTHENTICATE = text("""
with found as (
    select k.id, k.user_id, u.name, k.scopes, k.last_used_at, o.slug, m.role from public.api_keys k
    join public.users u on u.id = k.user_id
    join public.organizations o on o.id = k.organization_id and o.state in ('active', 'suspended')
    join public.memberships m on m.organization_id = k.organization_id and m.user_id = k.user_id and m.status = 'active'
    where k.key_hash = :hash and k.expires_at > now() and (k.revoked_at is null or k.revoked_at > now())),
used as (
    update public.api_keys set last_used_at = now() from found where api_keys.id = found.id
    and (found.last_used_at is null or found.last_used_at < now() - interval '1 minute'))
select * from found
""")


class InvalidKey(FleetPromptError):
    """It opens nothing: unknown, expired, revoked, or its user has no rights any more. Which, a stranger is not told."""

    code = "unauthorized"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a key speaks for. role: of its user, at this moment."""

    key_id: UUID
    user_id: UUID
    name: str
    tenant: TenantSlug
    role: Role
    scopes: tuple[str, ...]

    def require(self, scope: str) -> None:
        """Raises NotAllowed for a key without the scope, or whose user lost the role that it takes."""
        if scope not in self.scopes:
            raise NotAllowed(
                f"This key has not the scope {scope}.", "Make one that has: fleetprompt key create"
            )
        if self.role < SCOPES[scope]:
            raise NotAllowed(
                f"{self.name} is {self.role} of {self.tenant}, and {scope} takes {ALLOWED[SCOPES[scope]]}.",
                "Use the key of somebody who is.",
            )


@dataclass(frozen=True, slots=True)
class Key:
    """What may be shown of a key. revoked_at: from when on it opens nothing; may lie ahead after a rotation."""

    id: UUID
    name: str
    hint: str
    user: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaces: UUID | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the token is never shown again."""

    key: Key
    token: Secret


async def authenticate(database: Database, token: str) -> Principal:
    """Raises InvalidKey."""
    async with database.at_once() as connection:
        row: Any = (await connection.execute(_AUTHENTICATE, {"hash": digest(token)})).one_or_none()
    if row is None:
        raise InvalidKey(
            "This key opens nothing: it is unknown, expired or revoked.",
            "See: fleetprompt key list; send it as `Authorization: Bearer fpk_...`.",
        )
    return Principal(row.id, row.user_id, row.name, TenantSlug(row.slug), Role(row.role), tuple(row.scopes))


async def create_key(
    session: TenantSession, tell: TellFact, user_id: UUID, *, name: str, scopes: Sequence[str], days: int
) -> NewKey:
    """A key for a member. days: until it expires. Raises InvalidInput, NotAllowed for more than the member may."""
    called = checked_name(name, "A key's name")
    wanted = tuple(sorted(set(scopes)))
    _require_days(days)
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise InvalidInput(f"There is no scope {unknown[0][:60]!r}.", f"Known: {', '.join(SCOPES)}.")
    await require_member_here(session, user_id, max((SCOPES[one] for one in wanted), default=Role.MEMBER))
    made = await _write(session, user_id, called, wanted, timedelta(days=days))
    await tell(session, Fact("api_key.created", _payload(made.key, user_id)))
    return made


async def rotate_key(
    session: TenantSession, tell: TellFact, key_id: UUID, *, overlap_hours: int = 0
) -> NewKey:
    """A new token with the same name, scopes and lifetime; the old one works on for so long. Raises NotFound, Conflict."""
    old = await _held(session, key_id)
    await require_member_here(
        session, old.user_id, max((SCOPES[one] for one in old.scopes if one in SCOPES), default=Role.MEMBER)
    )
    made = await _write(
        session, old.user_id, old.name, tuple(old.scopes), old.expires_at - old.created_at, replaces=old.id
    )
    await _end(session, old.id, timedelta(hours=overlap_hours))
    await tell(session, Fact("api_key.rotated", _payload(made.key, old.user_id)))
    return made


async def revoke_key(session: TenantSession, tell: TellFact, key_id: UUID) -> Key:
    """It opens nothing from the commit on, also one that a rotation left working for a while. Raises NotFound, Conflict
    for one that opens nothing already."""
    old = await _held(session, key_id, also_rotated=True)
    await _end(session, old.id, timedelta())
    [key] = [key for key in await keys_of(session) if key.id == key_id]
    await tell(session, Fact("api_key.revoked", _payload(key, old.user_id)))
    return key


async def keys_of(session: TenantSession) -> list[Key]:
    """Of this organization, ended ones included, the newest last."""
    query = (
        select(ApiKey, User.email)
        .join(User, User.id == ApiKey.user_id)
        .join(Organization, Organization.id == ApiKey.organization_id)
        .where(Organization.slug == session.tenant)
        .order_by(ApiKey.created_at, ApiKey.id)
        .execution_options(populate_existing=True)
    )
    async with in_registry(session):
        return [_as_key(key, email) for key, email in (await session.execute(query)).all()]


async def _held(session: TenantSession, key_id: UUID, *, also_rotated: bool = False) -> ApiKey:
    """A key that still opens something, held to the end of the transaction: of two who rotate it one is told so."""
    opens = ApiKey.expires_at > func.now(), ApiKey.revoked_at.is_(None) | (ApiKey.revoked_at > func.now())
    query = (
        select(ApiKey, and_(*opens).label("is_open"))
        .join(Organization, Organization.id == ApiKey.organization_id)
        .where(ApiKey.id == key_id, Organization.slug == session.tenant)
        .with_for_update(of=ApiKey)
    )
    async with in_registry(session):
        row: Any = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no such key here.", f"See: fleetprompt key list --org {session.tenant}")
    key: ApiKey = row.ApiKey
    if not row.is_open or (key.revoked_at is not None and not also_rotated):
        raise Conflict("This key has ended already.", "Make another: fleetprompt key create")
    return key


async def _write(
    session: TenantSession,
    user_id: UUID,
    name: str,
    scopes: tuple[str, ...],
    lifetime: timedelta,
    replaces: UUID | None = None,
) -> NewKey:
    token, key_id = new_token(PREFIX), new_id()
    organization = select(Organization.id).where(Organization.slug == session.tenant).scalar_subquery()
    made = ApiKey(
        id=key_id, organization_id=organization, user_id=user_id, name=name, hint=token.reveal()[:HINT_CHARACTERS],
        key_hash=digest(token), scopes=list(scopes), expires_at=func.now() + lifetime, replaces=replaces,
    )  # fmt: skip
    async with in_registry(session):
        session.add(made)
    faults.reach("key.written")
    [key] = [key for key in await keys_of(session) if key.id == key_id]
    return NewKey(key, token)


async def _end(session: TenantSession, key_id: UUID, after: timedelta) -> None:
    async with in_registry(session):
        ended = update(ApiKey).where(ApiKey.id == key_id)
        await session.execute(ended.values(revoked_at=func.now() + after))


def _require_days(days: int) -> None:
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInput(
            f"A key lasts 1 to {MAX_DAYS} days.", "Rotate it before it ends: fleetprompt key rotate"
        )


def _payload(key: Key, user_id: UUID) -> dict[str, Any]:
    return {
        "key_id": str(key.id),
        "user_id": str(user_id),
        "scopes": list(key.scopes),
        "replaces": str(key.replaces) if key.replaces else None,
    }


def _as_key(row: ApiKey, email: str) -> Key:
    return Key(
        row.id, row.name, row.hint, email, tuple(row.scopes), row.created_at, row.expires_at, row.last_used_at,
        row.revoked_at, row.replaces,
    )  # fmt: skip
