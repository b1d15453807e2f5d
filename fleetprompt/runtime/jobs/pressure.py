"""Back-pressure as it is seen: who waits for an answer, and since when.

A message's jobs stand in the lane of their conversation at the message's own time, from its handler to its reply. So
what is unanswered is there to be counted, and a run that waits for a person's approval, which has no job, is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug

_UNANSWERED = text("""
select tenant, count(distinct (lane, position)),
    greatest(0, extract(epoch from clock_timestamp()) - min(position) / 1000.0)::float8
from public.job
where state in ('available', 'dispatched', 'running') and starts_with(lane, tenant || ':conversation:')
group by tenant
""")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One tenant's messages that were taken in and have no answer yet. oldest_s: by the message's own time."""

    tenant: TenantSlug
    count: int
    oldest_s: float


async def unanswered(database: Database) -> list[Unanswered]:
    """Of each tenant that has any."""
    async with database.connection() as connection:
        rows = (await connection.execute(_UNANSWERED)).all()
    return [Unanswered(TenantSlug(tenant), count, oldest_s) for tenant, count, oldest_s in rows]
