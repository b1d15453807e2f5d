"""How people prove who they are, in schema `public`. Codes, cookies and keys are stored as their SHA-256 alone."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from fleetprompt.model.base import PublicBase
from fleetprompt.model.organization import Organization, User


class OneTimeCode(PublicBase):
    """kind: claim (sets a password) or link (binds a chat account). Used once, and void after its time."""

    __tablename__ = "one_time_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id))
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class WebSession(PublicBase):
    """A browser in which somebody logged in. organization_id: the one they chose, which is the tenant there.

    browser_hash: of a cookie that outlives the session, by which a browser that was let in once is known.
    """

    __tablename__ = "web_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    browser_hash: Mapped[bytes]
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey(Organization.id))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Identity(PublicBase):
    """An account of a chat server that is one of our users, inside one organization.

    server_key: the server's normalised address; subject: the account's id there, which a new name does not change.
    """

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("organization_id", "connector", "server_key", "subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id))
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    connector: Mapped[str]
    server_key: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str]
    linked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deactivated_at: Mapped[datetime | None]


class ApiKey(PublicBase):
    """A program's key to one organization, with at most the rights of the user it acts for. hint: how it begins."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id))
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    name: Mapped[str]
    hint: Mapped[str]
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    replaces: Mapped[UUID | None]


class Attempts(PublicBase):
    """How often something was tried since the window began. key: the hash of what is limited, never an address."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    since: Mapped[datetime] = mapped_column(server_default=func.now())
