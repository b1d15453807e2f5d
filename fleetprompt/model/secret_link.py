"""One-time links by which a person hands a secret over, and the chats where it might be pasted instead."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import TenantBase
from fleetprompt.model.installation import Installation


class SecretLink(TenantBase):
    """Who may hand over which secret of which installation, until when.

    The token itself is stored nowhere. `asked_*`: the chat account that asked, in which conversation; as long as the
    link is open, what that account writes there is taken for the secret.
    """

    __tablename__ = "secret_links"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[UUID]
    installation_id: Mapped[UUID] = mapped_column(ForeignKey(Installation.id, ondelete="CASCADE"))
    credential: Mapped[str]
    bound_to: Mapped[str]  # digest of the installation's package, version and settings at the time of issue
    asked_installation_id: Mapped[UUID | None]
    asked_subject: Mapped[str | None]
    asked_conversation_id: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    checking_until: Mapped[datetime | None]  # a submitted value is being tried
    closed_because: Mapped[str | None]  # used, replaced, spent; NULL = open until it expires
    expires_at: Mapped[datetime]  # or when it was closed
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
