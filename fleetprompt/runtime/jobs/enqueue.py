"""Adding jobs, in the transaction of what they are about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import JobId, TenantSlug, new_id
from fleetprompt.tenancy import TenantSession

MAX_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be done. args: ids only, never text of a person.

    lane: at most one job of a lane runs at a time, in order of `position` (chat: the message's create_at, ms).
    unique_key: a second job with the same key is not added while the first is unfinished.
    """

    kind: str
    args: Mapping[str, Any]
    lane: str | None = None
    position: int = 0
    priority: int = 0
    scheduled_at: datetime | None = None
    delay_s: float = 0
    unique_key: str | None = None
    correlation_id: UUID | None = None
    max_attempts: int = MAX_ATTEMPTS

    def row(self, tenant: TenantSlug) -> dict[str, Any]:
        """As the table has it. Lanes and keys are shared by all tenants."""
        return {
            "id": new_id(),
            "tenant": tenant,
            "kind": self.kind,
            "args": dict(self.args),
            "lane": f"{tenant}:{self.lane}" if self.lane is not None else None,
            "position": self.position,
            "priority": self.priority,
            "scheduled_at": self.scheduled_at,
            "delay_s": float(self.delay_s),
            "unique_key": f"{tenant}:{self.unique_key}" if self.unique_key is not None else None,
            "correlation_id": self.correlation_id,
            "max_attempts": self.max_attempts,
        }


# No RETURNING and no conflict target: a tenant's role may insert jobs and read none.
_INSERT = Sql("""
insert into public.job (id, tenant, kind, args, lane, position, priority, scheduled_at, unique_key, correlation_id,
    max_attempts)
select id, tenant, kind, args, lane, position, priority,
    coalesce(scheduled_at, now()) + make_interval(secs => delay_s), unique_key, correlation_id, max_attempts
from jsonb_to_recordset(cast(:rows as jsonb)) as row (id uuid, tenant text, kind text, args jsonb, lane text,
    position bigint, priority bigint, scheduled_at timestamptz, delay_s float8, unique_key text,
    correlation_id uuid, max_attempts bigint)
on conflict do nothing
""")


async def enqueue(session: TenantSession, *jobs: NewJob) -> list[JobId]:
    """Add jobs for the session's tenant; they exist when its transaction commits, and not before."""
    if not jobs:
        return []
    rows = [job.row(session.tenant) for job in jobs]
    await session.fetch(_INSERT, {"rows": json.dumps(rows, default=str)})
    return [JobId(row["id"]) for row in rows]
