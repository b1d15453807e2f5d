"""Signals: immutable facts of one tenant."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, TenantBase
from fleetprompt.model.payload import Payload


class Signal(TenantBase):
    """Something that happened. The database refuses to change it."""

    __tablename__ = "signals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    dedupe_key: Mapped[str | None] = mapped_column(unique=True)
    correlation_id: Mapped[UUID]
    causation_id: Mapped[UUID | None]  # the signal, execution or directive that led to it
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    installation_id: Mapped[UUID | None]
    conversation_id: Mapped[UUID | None]
    payload: Mapped[JsonObject] = mapped_column(Payload())
    retention: Mapped[str]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SignalRaw(TenantBase):
    """The exact bytes a signal was read from, kept apart so that they can be dropped earlier."""

    __tablename__ = "signal_raw"

    signal_id: Mapped[UUID] = mapped_column(ForeignKey(Signal.id, ondelete="CASCADE"), primary_key=True)
    body: Mapped[bytes]
