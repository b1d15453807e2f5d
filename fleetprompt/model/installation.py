"""Installations of packages: configuration, credentials, health, and how far their far side was read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, TenantBase


class Installation(TenantBase):
    """One package installed in one tenant."""

    __tablename__ = "installations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    package: Mapped[str]
    version: Mapped[str]
    name: Mapped[str]  # tells several of one package apart; "" for the only one
    state: Mapped[str]
    config: Mapped[JsonObject]
    account: Mapped[JsonObject]  # what the far side said of the account: id, name, limits
    start_at_ms: Mapped[int]  # older mentions are history
    generation: Mapped[int]
    error: Mapped[str | None]
    package_digest: Mapped[str | None]  # of the signed manifest; NULL = installed before there was a registry
    config_version: Mapped[int] = mapped_column(server_default="1")
    error_code: Mapped[str | None]
    missing: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default="{}")  # `secret:bot_token`
    blocked: Mapped[str | None]  # why its version was revoked while it ran
    purge_at: Mapped[datetime | None]  # uninstalled: from then on nothing but its record stays
    purged_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InstallationVersion(TenantBase):
    """A version that an installation has left, with its settings as they were then: what a rollback returns to.

    left_by: upgrade or rollback. left_for: the version that took its place. returned_at: a rollback came back to it.
    """

    __tablename__ = "installation_versions"

    installation_id: Mapped[UUID] = mapped_column(ForeignKey(Installation.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)  # from 1, in the order in which they were left
    version: Mapped[str]
    package_digest: Mapped[str | None]
    config_version: Mapped[int]
    config: Mapped[JsonObject]
    left_by: Mapped[str]
    left_for: Mapped[str]
    directive_id: Mapped[UUID]
    left_at: Mapped[datetime] = mapped_column(server_default=func.now())
    returned_at: Mapped[datetime | None]


class InstallationHealth(TenantBase):
    """What an operator asks first: connected, since when, last event, backlog, last error and its remedy."""

    __tablename__ = "installation_health"

    installation_id: Mapped[UUID] = mapped_column(ForeignKey(Installation.id), primary_key=True)
    state: Mapped[str]
    since: Mapped[datetime]
    last_event_at: Mapped[datetime | None]
    backlog: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    last_error_code: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    remedy: Mapped[str | None]
    blocked_until: Mapped[datetime | None]  # outbound: the far side asked us to wait, or the breaker is open
    failures: Mapped[int] = mapped_column(server_default="0")  # outbound, in a row
    sending_error: Mapped[str | None]  # outbound: a person has to mend it, and since then nothing was sent
    sending_error_code: Mapped[str | None]
    sending_error_at: Mapped[datetime | None]
    sending_remedy: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InstallationCursor(TenantBase):
    """The adapter's opaque position; written in the transaction that commits what it covers, or after it."""

    __tablename__ = "installation_cursors"

    installation_id: Mapped[UUID] = mapped_column(ForeignKey(Installation.id), primary_key=True)
    cursor: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Credential(TenantBase):
    """A secret at rest, sealed with the tenant's key."""

    __tablename__ = "credentials"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    installation_id: Mapped[UUID] = mapped_column(ForeignKey(Installation.id))
    name: Mapped[str]
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
