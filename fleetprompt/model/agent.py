"""Agents: owned by a tenant, never anonymous."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from fleetprompt.model.base import JsonObject, TenantBase


class Agent(TenantBase):
    """Purpose, instructions, tools, model, limits and policies of one agent.

    policies: {"approval": {tool: "auto" | "ask"}, "follow_threads": bool}.
    """

    __tablename__ = "agents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    purpose: Mapped[str]
    instructions: Mapped[str]
    tools: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    model: Mapped[str | None]  # NULL = the service's default
    limits: Mapped[JsonObject]
    policies: Mapped[JsonObject]
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
