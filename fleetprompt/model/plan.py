"""Plans: what a person was shown before anything is changed, and how far that came."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, TenantBase


class Plan(TenantBase):
    """Open until it is confirmed, voided or too old; confirmed once, then carried out step by step.

    key: of the request that it answers. wish: what was asked for. steps: {"list": [...]}, in order; step: the one that
    is under way. digest: of everything that it was made from.
    """

    __tablename__ = "plans"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    code: Mapped[str]
    user_id: Mapped[UUID]
    door: Mapped[JsonObject]  # where it was asked for: chat installation, account, conversation
    wish: Mapped[JsonObject]
    steps: Mapped[JsonObject]
    digest: Mapped[str]
    text: Mapped[str]
    step: Mapped[int] = mapped_column(server_default="0")
    directive_id: Mapped[UUID | None]  # of the step that is under way
    installation_id: Mapped[UUID | None]
    confirm_key: Mapped[str | None]  # of the request that confirmed it
    post_directive_id: Mapped[UUID | None]  # posted what is edited at each change
    shown: Mapped[str] = mapped_column(server_default="")
    revision: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
