"""Master keys that were replaced, so that processes which run with one go on until they are started anew."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import PublicBase


class ReplacedMasterKey(PublicBase):
    """fingerprint: of the former key; sealed: its successor, which the former one opens; NULL once nobody needs it."""

    __tablename__ = "replaced_master_keys"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    successor: Mapped[str]
    sealed: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
