"""Grants: what an administrator let an installation do."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import TenantBase
from fleetprompt.model.installation import Installation


class Grant(TenantBase):
    """One scope of one installation, as `orders:read`. required: without it the package could not be installed."""

    __tablename__ = "grants"

    installation_id: Mapped[UUID] = mapped_column(
        ForeignKey(Installation.id, ondelete="CASCADE"), primary_key=True
    )
    scope: Mapped[str] = mapped_column(primary_key=True)
    required: Mapped[bool]
    granted_by: Mapped[str]
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())
