"""Records grow with every message: once they are over, they are kept as long as the facts of their class.

Runs, of agents with their calls and of workflows with their steps, and messages, as long as lifecycle facts; directives with their effects as long as the audit;
dead letters as long as ordinary facts. Ids are UUIDv7, so age is a range of the primary key.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from fleetprompt.kernel import clock
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import JobKind, Recurring
from fleetprompt.runtime.signals.retention import retention_days

BATCH = 2_000
NAME = "records.retention"
DAILY = Recurring(NAME, NAME, "37 3 * * *")
DAY_MS = 24 * 3600 * 1000

_REMOVE = {
    "executions": ("lifecycle", "state in ('succeeded', 'failed', 'canceled')"),
    "workflow_runs": (
        "lifecycle",
        # For as long as its signal could be replayed: the run is what keeps it from being run again.
        "state in ('succeeded', 'failed', 'canceled')"
        " and not exists (select from signals where signals.id = workflow_runs.signal_id)",
    ),
    "directives": ("audit", "state in ('succeeded', 'failed', 'canceled')"),
    "messages": ("lifecycle", "true"),
    "conversations": (
        "lifecycle",
        "not exists (select from messages where messages.conversation_id = conversations.id)",
    ),
}
"""table -> (class, which of its old rows); messages before their conversations."""
_REMOVE_DEAD = text(
    "delete from public.job where tenant = :tenant and state = 'dead'"
    " and finished_at < now() - make_interval(days => :days)"
)


def retention_kind(standard_days: int) -> JobKind:
    """The recurring job."""
    days = retention_days(standard_days)

    async def retain(work: Work) -> None:
        for table, (retention, condition) in _REMOVE.items():
            while await _remove_batch(work, table, condition, days[retention]) == BATCH:
                pass
        async with work.tenancy.database.connection() as connection:
            await connection.execute(_REMOVE_DEAD, {"tenant": work.tenant, "days": days["standard"]})

    return JobKind(NAME, retain)


async def _remove_batch(work: Work, table: str, condition: str, days: int) -> int:
    old = f"select id from {table} where id < :bound and {condition} order by id limit :batch"  # noqa: S608
    statement = text(f"delete from {table} where id in ({old})")  # noqa: S608
    async with work.step() as session:
        result = await session.execute(statement, {"bound": oldest_id(days), "batch": BATCH})
        return int(result.rowcount)  # type: ignore[attr-defined]


def oldest_id(days: int) -> UUID:
    """Ids that were made longer ago than so many days are less."""
    return UUID(int=(clock.now_ms() - days * DAY_MS) << 80)
