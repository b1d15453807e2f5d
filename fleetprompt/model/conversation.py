"""Conversations (a thread, or a direct message) and their messages, as projected from signals."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import TenantBase


class Conversation(TenantBase):
    """One thread of one channel. thread_id is "" for a direct message's own stream."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("installation_id", "channel_id", "thread_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    installation_id: Mapped[UUID]
    channel_id: Mapped[str]
    thread_id: Mapped[str]
    channel_kind: Mapped[str]
    channel_name: Mapped[str]
    agent_id: Mapped[UUID | None]  # the agent that takes part
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Message(TenantBase):
    """One message of a conversation, in or out, in its newest wording."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("installation_id", "external_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey(Conversation.id))
    installation_id: Mapped[UUID]
    external_id: Mapped[str]
    author_kind: Mapped[str]  # person, bot, webhook, or self for our own
    author_id: Mapped[str]
    author_name: Mapped[str]
    text: Mapped[str]
    signal_id: Mapped[UUID | None]
    directive_id: Mapped[UUID | None]
    sent_at_ms: Mapped[int]
    edited: Mapped[bool] = mapped_column(server_default="false")
    deleted: Mapped[bool] = mapped_column(server_default="false")
    said_in_fact: Mapped[bool] = mapped_column(
        server_default="false"
    )  # text is "": its signal's `request` is it
