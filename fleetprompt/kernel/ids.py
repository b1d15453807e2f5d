"""Typed ids. All are UUIDv7, made here, so they sort by time on any Postgres."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

TenantSlug = NewType("TenantSlug", str)
"""`[a-z0-9_]{1,40}`; the schema is org_<slug>, the role r_org_<slug>."""
SignalId = NewType("SignalId", UUID)
DirectiveId = NewType("DirectiveId", UUID)
ExecutionId = NewType("ExecutionId", UUID)
JobId = NewType("JobId", UUID)
AgentId = NewType("AgentId", UUID)
InstallationId = NewType("InstallationId", UUID)
ConversationId = NewType("ConversationId", UUID)


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid7()
