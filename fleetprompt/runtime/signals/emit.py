"""The one way a fact enters: in the transaction of the change that it reports, together with its handlers' jobs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import select

from fleetprompt.database.driver import Sql
from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import SignalId, new_id
from fleetprompt.model import Signal
from fleetprompt.model.payload import stored
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.match import is_wanted
from fleetprompt.telemetry import metrics
from fleetprompt.tenancy import TenantSession

FEW: Final = 2
ACTOR_KINDS = ("human", "agent", "system", "integration")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused it: kind is human, agent, system or integration; id is stable, name is for display."""

    kind: str
    id: str
    name: str = ""

    def __post_init__(self) -> None:
        assert self.kind in ACTOR_KINDS, self.kind


SYSTEM = Actor("system", "fleetprompt", "FleetPrompt")


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A fact to be told.

    dedupe_key: the same for the same fact, however often it is told; None = always new. payload: JSON without
    secrets, normalised (`kernel.json.clean`). raw: the exact bytes it was read from. lane, position: the order in
    which handlers see it (see `NewJob`).
    """

    name: str
    payload: Mapping[str, Any]
    actor: Actor
    dedupe_key: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    installation_id: UUID | None = None
    conversation_id: UUID | None = None
    occurred_at: datetime | None = None
    raw: bytes | None = None
    lane: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Emitted:
    """fresh: False when the fact was known already; then nothing was written and nobody was told."""

    id: SignalId
    fresh: bool


# ruff: noqa: S608 - constants of this very file
COLUMNS: Final = {
    "id": "uuid",
    "name": "text",
    "dedupe_key": "text",
    "correlation_id": "uuid",
    "causation_id": "uuid",
    "actor_kind": "text",
    "actor_id": "text",
    "actor_name": "text",
    "installation_id": "uuid",
    "conversation_id": "uuid",
    "payload": "jsonb",
    "retention": "text",
    "occurred_at": "timestamptz",
    "body": "bytea",
}
"""Of a new signal, with their types; the last goes into a table of its own."""
_NAMES = ", ".join(COLUMNS)
_STORED = ", ".join(name for name in COLUMNS if name != "body")
_ARRAYS = ", ".join(f"cast(:{name} as {kind}[])" for name, kind in COLUMNS.items())
_VALUES = ", ".join(f":{name}" for name in COLUMNS if name != "body")
_TOLD = "on conflict (dedupe_key) do nothing returning id, name), kept as (insert into signal_raw (signal_id, body)"
_FRESH = f"select id, {is_wanted('told.name')} from told"
_INSERT_ONE = Sql(
    f"with told as (insert into signals ({_STORED}) values ({_VALUES}) {_TOLD}"
    f" select id, :body from told where cast(:body as bytea) is not null) {_FRESH}"
)
# Sets, not rows: one round trip, whatever the number. In order, so that of equal keys the first is fresh.
_INSERT = Sql(
    f"with new as (select * from unnest({_ARRAYS}) with ordinality as new ({_NAMES}, place)),"
    f" told as (insert into signals ({_STORED}) select {_STORED} from new order by place {_TOLD}"
    f" select id, new.body from new join told using (id) where new.body is not null) {_FRESH}"
)


async def emit(session: TenantSession, registry: Registry, new: NewSignal) -> Emitted:
    """Store a fact and enqueue its handlers, in the caller's transaction. Raises InvalidInput for an unknown name."""
    return (await emit_many(session, registry, [new]))[0]


async def emit_many(session: TenantSession, registry: Registry, news: Sequence[NewSignal]) -> list[Emitted]:
    """The same for several facts, in order; of a dedupe key that stands in the batch twice the first is fresh."""
    if not news:
        return []
    rows = [_row(SignalId(new_id()), new, _retention(registry, new)) for new in news]
    fresh = await _stored(session, rows)
    known = await _known(session, [row["dedupe_key"] for row in rows if row["id"] not in fresh])
    told = [(SignalId(row["id"]), new) for row, new in zip(rows, news, strict=True) if row["id"] in fresh]
    jobs = (handler_jobs(registry, signal_id, new, wanted=fresh[signal_id]) for signal_id, new in told)
    await enqueue(session, *itertools.chain.from_iterable(jobs))
    _count(session, Counter((row["name"], row["id"] in fresh) for row in rows))
    return [
        Emitted(SignalId(row["id"] if row["id"] in fresh else known[row["dedupe_key"]]), row["id"] in fresh)
        for row in rows
    ]


async def _stored(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> dict[UUID, bool]:
    """Those that are fresh, and whether the tenant's own rows want them.

    One by one where they are few: of a set Postgres makes a new plan each time, which takes longer than the rest.
    """
    if len(rows) <= FEW:
        stored = [row for one in rows for row in await session.fetch(_INSERT_ONE, one)]
    else:
        stored = await session.fetch(_INSERT, {name: [row[name] for row in rows] for name in COLUMNS})
    return {row[0]: row[1] for row in stored}


def _count(session: TenantSession, told: Mapping[tuple[str, bool], int]) -> None:
    for (name, is_fresh), times in told.items():
        counted = metrics.SIGNALS_EMITTED if is_fresh else metrics.SIGNALS_REPEATED
        counted.labels(session.tenant, name).inc(times)


def handler_jobs(
    registry: Registry, signal_id: SignalId, new: NewSignal, *, wanted: bool = False
) -> list[NewJob]:
    """A job for each handler that wants the fact. wanted: by the tenant's own rows too."""
    handlers = [h for h in registry.handlers.get(new.name, ()) if h.wants is None or h.wants(new.payload)]
    handlers += registry.subscribers if wanted else []
    return [
        NewJob(
            "signal.handle",
            {"signal_id": str(signal_id), "handler": handler.name},
            lane=new.lane,
            position=new.position,
            unique_key=f"signal:{signal_id}:{handler.name}",
            correlation_id=new.correlation_id or signal_id,
        )
        for handler in handlers
    ]


def _retention(registry: Registry, new: NewSignal) -> str:
    kind = registry.signal_type(new.name)
    if kind is None:
        raise InvalidInput(f"Nobody catalogued the signal {new.name!r}.")
    return kind.retention


async def _known(session: TenantSession, keys: Sequence[str | None]) -> dict[str | None, UUID]:
    if not keys:
        return {}
    query = select(Signal.dedupe_key, Signal.id).where(Signal.dedupe_key.in_(keys))
    return {row.dedupe_key: row.id for row in await session.execute(query)}


def _row(signal_id: SignalId, new: NewSignal, retention: str) -> dict[str, Any]:
    return {
        "id": signal_id,
        "name": new.name,
        "dedupe_key": new.dedupe_key,
        "correlation_id": new.correlation_id or signal_id,
        "causation_id": new.causation_id,
        "actor_kind": new.actor.kind,
        "actor_id": new.actor.id,
        "actor_name": new.actor.name,
        "installation_id": new.installation_id,
        "conversation_id": new.conversation_id,
        "payload": to_json({**stored(new.payload), **_order(new)}).decode(),
        "retention": retention,
        "occurred_at": new.occurred_at or clock.now(),
        "body": new.raw,
    }


def _order(new: NewSignal) -> dict[str, Any]:
    """Kept with the fact, so that a replay is handled in the same lane."""
    return {"lane": new.lane, "position": new.position} if new.lane is not None else {}
