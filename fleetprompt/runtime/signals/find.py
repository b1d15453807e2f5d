"""Looking signals up, for an operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select

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
    query = query.where(*named(chosen.name), *within(chosen.since, chosen.until))
    if chosen.correlation_id is not None:
        query = query.where(Signal.correlation_id == chosen.correlation_id)
    if chosen.conversation_id is not None:
        query = query.where(Signal.conversation_id == chosen.conversation_id)
    return list(await session.scalars(query))[::-1]


def named(name: str | None) -> Iterator[ColumnElement[bool]]:
    """Of this name; of all that begin so, if it ends in `*`."""
    if name is not None and name.endswith("*"):
        yield Signal.name.startswith(name[:-1], autoescape=True)
    elif name is not None:
        yield Signal.name == name


def within(since: datetime | None, until: datetime | None) -> Iterator[ColumnElement[bool]]:
    """What happened from `since` on, and before `until`."""
    if since is not None:
        yield Signal.occurred_at >= since
    if until is not None:
        yield Signal.occurred_at < until


async def find_signal(session: TenantSession, signal_id: UUID) -> Signal:
    """Raises NotFound."""
    signal = await session.get(Signal, signal_id)
    if signal is None:
        raise NotFound(f"There is no signal {signal_id} here.", "See: fleetprompt signals list --org ...")
    return signal
