"""Looking signals up, for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Signal
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """All given conditions hold together; a name that ends in `*` stands for all that begin so."""

    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    correlation_id: UUID | None = None
    conversation_id: UUID | None = None


async def list_signals(session: TenantSession, chosen: SignalFilter, limit: int) -> Sequence[Signal]:
    """The newest ones, oldest of them first."""
    query = select(Signal).order_by(Signal.id.desc()).limit(limit)
    if chosen.name is not None:
        name = chosen.name
        query = query.where(
            Signal.name.startswith(name[:-1], autoescape=True) if name.endswith("*") else Signal.name == name
        )
    if chosen.since is not None:
        query = query.where(Signal.occurred_at >= chosen.since)
    if chosen.until is not None:
        query = query.where(Signal.occurred_at < chosen.until)
    if chosen.correlation_id is not None:
        query = query.where(Signal.correlation_id == chosen.correlation_id)
    if chosen.conversation_id is not None:
        query = query.where(Signal.conversation_id == chosen.conversation_id)
    return list(await session.scalars(query))[::-1]


async def find_signal(session: TenantSession, signal_id: UUID) -> Signal:
    """Raises NotFound."""
    signal = await session.get(Signal, signal_id)
    if signal is None:
        raise NotFound(f"There is no signal {signal_id} here.", "See: fleetprompt signals list --org ...")
    return signal
