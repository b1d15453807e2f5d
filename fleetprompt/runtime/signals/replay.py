"""Replay: handlers see chosen signals again. They derive the same keys as before, so no effect is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from fleetprompt.kernel.errors import InvalidInput, NotFound
from fleetprompt.kernel.ids import SignalId
from fleetprompt.model import Signal
from fleetprompt.runtime.jobs import enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals.emit import Actor, NewSignal, emit, handler_jobs
from fleetprompt.runtime.signals.find import named, within
from fleetprompt.runtime.workflows.match import wanted_signals
from fleetprompt.tenancy import TenantSession

REPLAY_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which signals; all given conditions hold together. At least one is needed. `chat.*`: all that begin so."""

    ids: Sequence[UUID] = ()
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def replay(session: TenantSession, registry: Registry, chosen: Chosen, actor: Actor) -> tuple[int, int]:
    """Hand chosen signals to their handlers again; returns (signals, jobs) and leaves an audit signal.

    Raises InvalidInput if nothing is chosen, or so much that it would have to be cut short; NotFound if nothing
    matches.
    """
    if chosen == Chosen(ids=chosen.ids) and not chosen.ids:
        raise InvalidInput("This would replay everything.", "Say which signals: by id, name or time.")
    signals = list(await session.scalars(_query(chosen)))
    if not signals:
        raise NotFound("No signal matches.", "See what there is: fleetprompt signals list --org ...")
    if len(signals) > REPLAY_LIMIT:
        raise InvalidInput(
            f"More than {REPLAY_LIMIT} signals are meant.", "Replay them in shorter spans of time."
        )
    wanted = await wanted_signals(session, [one.id for one in signals])
    jobs = [
        job
        for one in signals
        for job in handler_jobs(registry, SignalId(one.id), as_new(one), wanted=one.id in wanted)
    ]
    await enqueue(session, *jobs)
    payload = {"signals": len(signals), "jobs": len(jobs), "name": chosen.name}
    await emit(session, registry, NewSignal("signals.replayed", payload, actor))
    return len(signals), len(jobs)


def as_new(signal: Signal) -> NewSignal:
    """A stored signal in the shape in which it was told. What a far side calls lane or position is another thing."""
    lane, position = signal.payload.get("lane"), signal.payload.get("position")
    return NewSignal(
        signal.name,
        signal.payload,
        Actor(signal.actor_kind, signal.actor_id, signal.actor_name),
        correlation_id=signal.correlation_id,
        lane=lane if isinstance(lane, str) and isinstance(position, int) else None,
        position=position if isinstance(position, int) else 0,
    )


def _query(chosen: Chosen) -> Select[Signal]:
    query = select(Signal).order_by(Signal.id).limit(REPLAY_LIMIT + 1)
    if chosen.ids:
        query = query.where(Signal.id.in_(chosen.ids))
    return query.where(*named(chosen.name), *within(chosen.since, chosen.until))
