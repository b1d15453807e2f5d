"""Agents: owned by a tenant, never anonymous."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from fleetprompt.model.base import JsonObject, TenantBase


class Agent(TenantBase):
    """Purpose, instructions, tools, model, limits and policies of one agent.

    policies: {"approval": {tool: "auto" | "ask"}, "follow_threads": bool, "initiators": {tool | "*": role}}.
    scopes: what an administrator consented to by giving this agent tools; what a package gave it, the package's
    installation was granted. skills: each as its package's manifest says it, with `package` and `version`.
    """

    __tablename__ = "agents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    purpose: Mapped[str]
    instructions: Mapped[str]
    tools: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default="{}")
    skills: Mapped[list[dict[str, Any]]] = mapped_column(JSONB(), server_default="[]")
    model: Mapped[str | None]  # NULL = the service's default
    limits: Mapped[JsonObject]
    policies: Mapped[JsonObject]
    state: Mapped[str]
    installation_id: Mapped[UUID | None]  # of the package that provides it; NULL = made by a person
    provisioned: Mapped[
        JsonObject | None
    ]  # as that package made it, so that what a person changed since is known
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
