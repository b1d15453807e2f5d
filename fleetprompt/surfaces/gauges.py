"""The metrics that are looked up at each scrape: what waits in the database, whoever put it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.model.states import JobState
from fleetprompt.runtime.jobs.pressure import Unanswered, unanswered
from fleetprompt.telemetry import metrics

_JOBS: Final = text("select state, count(*) from public.job group by state")
_OLDEST: Final = text(
    "select coalesce(extract(epoch from now() - min(scheduled_at)), 0)::float8 from public.job"
    " where state in ('available', 'dispatched') and scheduled_at <= now()"
)
_CONNECTIONS: Final = text(
    "select tenant, connector, case when not enabled then 'disabled'"
    " when holder is not null and lease_until > now() then 'listening' else 'waiting' end as state, count(*)"
    " from public.connections group by tenant, connector, state"
)


async def measure(database: Database) -> None:
    """Queue depth by state, ages of the oldest due job and of the oldest unanswered message, installations by state."""
    async with database.connection() as connection:
        depth: dict[str, int] = {row[0]: row[1] for row in await connection.execute(_JOBS)}
        oldest_s = (await connection.execute(_OLDEST)).scalar_one()
        connections = (await connection.execute(_CONNECTIONS)).all()
    _tell_unanswered(await unanswered(database))
    for state in JobState:
        metrics.JOBS_QUEUED.labels(state).set(depth.get(state, 0))
    metrics.JOB_OLDEST_SECONDS.set(oldest_s)
    metrics.CONNECTIONS.clear()
    for tenant, connector, state, count in connections:
        metrics.CONNECTIONS.labels(tenant, connector, state).set(count)


def _tell_unanswered(waiting: Sequence[Unanswered]) -> None:
    """A tenant that waits for nothing any more has no figure."""
    metrics.MESSAGES_UNANSWERED.clear()
    metrics.MESSAGE_OLDEST_SECONDS.clear()
    for one in waiting:
        metrics.MESSAGES_UNANSWERED.labels(one.tenant).set(one.count)
        metrics.MESSAGE_OLDEST_SECONDS.labels(one.tenant).set(one.oldest_s)
