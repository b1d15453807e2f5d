"""Schema `public`: who there is. A tenant's own data is never here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, PublicBase


class Organization(PublicBase):
    """A tenant: identity, plan, limits, and how far its schema has come."""

    __tablename__ = "organizations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    plan: Mapped[str] = mapped_column(server_default="free")
    limits: Mapped[JsonObject]
    state: Mapped[str]
    schema_revision: Mapped[str | None]
    schema_error: Mapped[str | None]
    schema_attempted_at: Mapped[datetime | None]
    wrapped_key: Mapped[bytes | None]  # the tenant's data key, wrapped by the master key
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class User(PublicBase):
    """A person, who may belong to several organizations."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    external_subject: Mapped[str | None] = mapped_column(unique=True)
    password_hash: Mapped[str | None]  # argon2id; None = the person has claimed nothing yet
    password_set_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Membership(PublicBase):
    """What a user is in an organization: owner, admin or member."""

    __tablename__ = "memberships"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id), primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id), primary_key=True)
    role: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Connection(PublicBase):
    """The directory of enabled installations that listen: one account, one installation, one holder.

    account_key identifies server and account; it is unique over all tenants, so that two installations can never
    answer as the same bot.
    """

    __tablename__ = "connections"

    installation_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    connector: Mapped[str]
    account_key: Mapped[str] = mapped_column(unique=True)
    enabled: Mapped[bool]
    generation: Mapped[int]  # rises at each change of settings, so that a running listener reopens
    holder: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
