"""Retention: facts are kept for as long as their class says, then removed by a recurring job, in batches."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import JobKind, Recurring

BATCH = 5_000
NAME = "signals.retention"
DAILY = Recurring(NAME, NAME, "17 3 * * *")

_REMOVE = text(
    "with old as (select id from signals where retention = :retention"
    " and created_at < now() - make_interval(days => :days) order by created_at limit :batch)"
    " delete from signals using old where signals.id = old.id"
)


def retention_days(standard_days: int) -> dict[str, int]:
    """Days that each class is kept (row 107)."""
    return {
        "standard": standard_days,
        "lifecycle": max(365, standard_days),
        "audit": max(3650, standard_days),
    }


def retention_kind(days: Mapping[str, int]) -> JobKind:
    """The recurring job."""

    async def retain(work: Work) -> None:
        for retention, kept_days in days.items():
            while await _remove_batch(work, retention, kept_days) == BATCH:
                pass

    return JobKind(NAME, retain)


async def _remove_batch(work: Work, retention: str, days: int) -> int:
    async with work.step() as session:
        result = await session.execute(_REMOVE, {"retention": retention, "days": days, "batch": BATCH})
        return int(result.rowcount)  # type: ignore[attr-defined]
