"""Mail beside signals and conversations: raw bytes, the names of threads, who takes part, who is not written to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import TenantBase
from fleetprompt.model.conversation import Conversation
from fleetprompt.model.signal import Signal


class MailChunk(TenantBase):
    """A piece of a mail's raw bytes, attachments included; together they are the mail as it was fetched."""

    __tablename__ = "mail_chunks"

    signal_id: Mapped[UUID] = mapped_column(ForeignKey(Signal.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MailName(TenantBase):
    """By what a later mail may refer to a conversation: `id:` a Message-ID, `internal:` the provider's id, `token:` ours.

    directive_id: the mail of that name is our own.
    """

    __tablename__ = "mail_names"

    installation_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey(Conversation.id, ondelete="CASCADE"))
    directive_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MailParticipant(TenantBase):
    """An address that wrote or was written to in a conversation."""

    __tablename__ = "mail_participants"

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey(Conversation.id, ondelete="CASCADE"), primary_key=True
    )
    address: Mapped[str] = mapped_column(primary_key=True)


class MailAnswer(TenantBase):
    """An address that the answer of a run is for; counted where the run begins."""

    __tablename__ = "mail_answers"

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    installation_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MailKnown(TenantBase):
    """The SHA-256 of the dedupe key of a mail whose fact went: a rebuilt mailbox tells it anew, and it was answered."""

    __tablename__ = "mail_known"

    digest: Mapped[bytes] = mapped_column(primary_key=True)


class SuppressedAddress(TenantBase):
    """An address that does not take our mail: nothing is sent to it until a person restores it."""

    __tablename__ = "mail_suppressed"

    address: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    directive_id: Mapped[UUID | None]
    signal_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
