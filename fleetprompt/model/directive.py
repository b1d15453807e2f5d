"""Directives: controlled, audited, idempotent intents, and the effects they have on the outside."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, TenantBase


class Directive(TenantBase):
    """One intent. arguments never change, but by a person while it waits for approval; which binds their digest."""

    __tablename__ = "directives"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    arguments: Mapped[JsonObject]
    arguments_digest: Mapped[str]
    summary: Mapped[str]  # why, in one sentence, for a person
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    correlation_id: Mapped[UUID]
    causation_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    installation_id: Mapped[UUID | None]
    conversation_id: Mapped[UUID | None]
    lane: Mapped[str | None]
    position: Mapped[int] = mapped_column(server_default="0")
    attempt: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    approval_reason: Mapped[str | None]
    approval_expires_at: Mapped[datetime | None]
    approved_by: Mapped[str | None]
    approved_digest: Mapped[str | None]
    result: Mapped[JsonObject | None]
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Effect(TenantBase):
    """One call to the outside, written as `sending` before it is made; request is frozen and never changes."""

    __tablename__ = "effects"
    __table_args__ = (UniqueConstraint("directive_id", "part"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    directive_id: Mapped[UUID] = mapped_column(ForeignKey(Directive.id, ondelete="CASCADE"))
    part: Mapped[int]
    key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    request: Mapped[JsonObject]
    receipt: Mapped[JsonObject | None]
    tries: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    first_tried_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
