"""One-time links for secrets: whoever was asked for one hands it over on a page, so that it never stands in a chat.

The token is 256 random bits and is stored as its SHA-256 alone. A link is for one person, one credential of one
installation, and for the settings that this had when the link was made: whoever changes the server meanwhile does not
get the secret. Opening a link consumes nothing. Handing a secret over closes it once the far side has taken the secret.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update

from fleetprompt.kernel.errors import Conflict, FleetPromptError, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.json import canonical
from fleetprompt.model import Installation, SecretLink
from fleetprompt.model.states import InstallationState
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.settings import Settings
from fleetprompt.tenancy import TenantSession

TOKEN_BYTES: Final = 32
MAX_ATTEMPTS: Final = 5
KEPT: Final = text("interval '30 days'")
VALID: Final = text("interval '15 minutes'")
CHECKING: Final = text("interval '60 seconds'")
"""How long a try may take; after a death in it the link can be used again."""

GONE: Final = (InstallationState.UNINSTALLING, InstallationState.UNINSTALLED)
USED, REPLACED, SPENT = "used", "replaced", "spent"
NAMES: Final = {
    "secret.link.used": "A secret was handed over by its link, and works.",
    "secret.link.failed": "What was handed over by a link did not work.",
    "secret.revoked": "A secret was taken away from an installation.",
}
ANOTHER: Final = "Ask for a new one: `@fleet secret {package}` in your chat."
WHY: Final = {
    USED: "This link was used already.",
    REPLACED: "A newer link was made in place of this one.",
    SPENT: f"This link was tried {MAX_ATTEMPTS} times without success.",
}


class LinkRefused(FleetPromptError):
    """The link is no good for this person, or no longer; it says why."""

    code = "link_refused"


class LinkUnknown(LinkRefused):
    """No link of this organization."""

    code = "not_found"


class LinkOfAnother(LinkRefused):
    """A link of this organization, for somebody else."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Asker:
    """The chat account that asked. installation_id: of the chat, by which it is heard; subject: its id there."""

    installation_id: UUID
    subject: str
    conversation_id: UUID


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open link is for; nothing of it is secret. bound_to: the settings under which it was made."""

    link_id: UUID
    installation_id: UUID
    package: str
    name: str
    credential: str
    expires_at: datetime
    attempts_left: int
    bound_to: str


def register(registry: Registry) -> None:
    """Called once by the packages' own registration."""
    for name, about in NAMES.items():
        registry.add_signal(name, about, retention="lifecycle")


async def issue(
    session: TenantSession,
    *,
    user_id: UUID,
    installation_id: UUID,
    credential: str,
    asker: Asker | None = None,
) -> str:
    """The token of a new link; an older one of the same person for the same secret is void.

    asker: where the person was asked. Until the link is closed or expires, what they write there, or to us alone, is
    taken for the secret and not stored. Raises NotFound, or Conflict for an installation that is gone.
    """
    query = select(Installation).where(Installation.id == installation_id).with_for_update()
    installation = await session.scalar(query)
    if installation is None:
        raise NotFound("There is no such installation.", "See: fleetprompt package status")
    if installation.state in GONE:
        raise Conflict(f"{installation.package} is {installation.state}.", "Install it first.")
    same = (SecretLink.installation_id == installation_id, SecretLink.credential == credential)
    older = update(SecretLink).where(
        *same, SecretLink.user_id == user_id, SecretLink.closed_because.is_(None)
    )
    await session.execute(older.values(closed_because=REPLACED, expires_at=func.now()))
    await session.execute(delete(SecretLink).where(SecretLink.expires_at < func.now() - KEPT))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(_link(token, user_id, installation, credential, asker))
    await session.flush()
    return token


def _link(
    token: str, user_id: UUID, installation: Installation, credential: str, asker: Asker | None
) -> SecretLink:
    return SecretLink(
        id=new_id(),
        token_hash=_hashed(token),
        user_id=user_id,
        installation_id=installation.id,
        credential=credential,
        bound_to=settings_of(installation),
        asked_installation_id=asker and asker.installation_id,
        asked_subject=asker and asker.subject,
        asked_conversation_id=asker and asker.conversation_id,
        expires_at=func.now() + VALID,
    )


def link_url(settings: Settings, token: str) -> str:
    """Where the person opens it. The tenant is not in it: that is of the person who is logged in."""
    return f"{settings.public_address}/secret/{token}"


async def look(session: TenantSession, token: str, *, user_id: UUID) -> Opened:
    """What the link is for; consumes nothing. Raises LinkRefused."""
    return (await _open(session, token, user_id, lock=False))[1]


async def begin(session: TenantSession, token: str, *, user_id: UUID) -> Opened:
    """Count an attempt, before the value is tried. Commit it first. Raises LinkRefused, also while another is tried."""
    link, opened = await _open(session, token, user_id, lock=True)
    if await session.scalar(select(SecretLink.checking_until > func.now()).where(SecretLink.id == link.id)):
        raise LinkRefused("A value given by this link is being tried.", "Wait a moment and look again.")
    changed = update(SecretLink).where(SecretLink.id == link.id)
    await session.execute(
        changed.values(attempts=SecretLink.attempts + 1, checking_until=func.now() + CHECKING)
    )
    return opened


async def finish(
    session: TenantSession,
    registry: Registry,
    link_id: UUID,
    actor: Actor,
    *,
    refused: FleetPromptError | None,
) -> None:
    """The try is over: what was accepted closes the link, and so does the last attempt. The same once more is fine."""
    link = await session.scalar(select(SecretLink).where(SecretLink.id == link_id).with_for_update())
    if link is None or link.closed_because is not None:
        return
    values: dict[str, Any] = {"checking_until": None}
    if refused is None or link.attempts >= MAX_ATTEMPTS:
        values |= {"closed_because": USED if refused is None else SPENT, "expires_at": func.now()}
    await session.execute(update(SecretLink).where(SecretLink.id == link_id).values(**values))
    payload = {
        "installation_id": str(link.installation_id),
        "credential": link.credential,
        "attempt": link.attempts,
        "error_code": None if refused is None else refused.code,
    }
    key = f"secret.link:{link_id}:{link.attempts}"
    name = "secret.link.used" if refused is None else "secret.link.failed"
    new = NewSignal(name, payload, actor, dedupe_key=key, installation_id=link.installation_id)
    await emit(session, registry, new)


async def _open(
    session: TenantSession, token: str, user_id: UUID, *, lock: bool
) -> tuple[SecretLink, Opened]:
    query = select(SecretLink, Installation, SecretLink.expires_at > func.now()).where(
        SecretLink.token_hash == _hashed(token), Installation.id == SecretLink.installation_id
    )
    query = query.execution_options(populate_existing=True)
    found = (await session.execute(query.with_for_update(of=SecretLink) if lock else query)).one_or_none()
    if found is None:
        raise LinkUnknown(
            "In this organization there is no such link.",
            "Was it made in another one of yours? Choose that first. Otherwise ask for a new link in your chat.",
        )
    link, installation, is_fresh = found
    if link.user_id != user_id:
        raise LinkOfAnother(
            "This link was made for another person.", "Log in as that person, or ask for your own."
        )
    reason = _why_not(link, installation, is_fresh=is_fresh)
    if reason is not None:
        raise LinkRefused(reason, ANOTHER.format(package=installation.package))
    return link, _opened(link, installation)


def _why_not(link: SecretLink, installation: Installation, *, is_fresh: bool) -> str | None:
    if link.closed_because is not None:
        return WHY[link.closed_because]
    if not is_fresh:
        return "This link has expired."
    if link.attempts >= MAX_ATTEMPTS:
        return WHY[SPENT]
    if installation.state in GONE or link.bound_to != settings_of(installation):
        return f"{installation.package} was changed since this link was made."
    return None


def _opened(link: SecretLink, installation: Installation) -> Opened:
    return Opened(
        link_id=link.id,
        installation_id=installation.id,
        package=installation.package,
        name=installation.name,
        credential=link.credential,
        expires_at=link.expires_at,
        attempts_left=MAX_ATTEMPTS - link.attempts,
        bound_to=link.bound_to,
    )


def settings_of(installation: Installation) -> str:
    """What names the settings. Not the generation: that rises with each secret, and an installation may want two."""
    about = {"package": installation.package, "version": installation.version, "config": installation.config}
    return hashlib.sha256(canonical(about).encode()).hexdigest()


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
