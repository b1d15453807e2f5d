"""Who asks, where, and what; the same for a mention, a direct message and a slash command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from fleetprompt.kernel.ids import TenantSlug


@dataclass(frozen=True, slots=True)
class Asked:
    """One text that may be a command. key: names this very request for ever: whoever sends it again gets the same.

    installation_id: of the chat that it came by. subject: the account there; subject_name proves nothing.
    conversation_id: None where nothing can be posted in a thread; then progress goes to the person alone.
    is_direct: nobody else reads it. certain: it came by a door for commands alone.
    is_alone: whoever asked is the only one who sees the answer.
    """

    tenant: TenantSlug
    installation_id: UUID
    connector: str
    server_key: str
    subject: str
    subject_name: str
    conversation_id: UUID | None
    text: str
    key: str
    is_direct: bool
    certain: bool = False
    is_alone: bool = False
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    lane: str | None = None
    position: int = 0

    def door(self) -> dict[str, Any]:
        """What a plan keeps of it, as JSON."""
        kept = ("installation_id", "connector", "server_key", "subject", "conversation_id", "correlation_id")
        values = asdict(self)
        return {name: None if values[name] is None else str(values[name]) for name in kept}
