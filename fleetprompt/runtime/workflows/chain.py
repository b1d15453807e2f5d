"""Loops: how many runs of a workflow led, one through the other, to a signal."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text

from fleetprompt.model import Signal
from fleetprompt.tenancy import TenantSession

MAX_DEPTH: Final = 3
LONGEST: Final = 300  # causes looked back upon; a chain that long has its nearest run well within it

# Signal -> what caused it: a run, an execution, a directive or a signal; each of those -> what it came from.
_DEPTH = text("""
with recursive up (id, level) as (
    select cast(:cause as uuid), 1
    union all
    select p.parent, up.level + 1 from up cross join lateral (
        select causation_id as parent from signals where id = up.id
        union all select causation_id from directives where id = up.id
        union all select signal_id from workflow_runs where id = up.id
        union all select coalesce((select run_id from workflow_steps s where s.execution_id = e.id), e.signal_id)
            from executions e where e.id = up.id
    ) p where p.parent is not null and up.level < :longest)
select coalesce(max(run.depth), 0) from workflow_runs run join up on up.id = run.id where run.workflow_id = :workflow
""")


async def depth_of(session: TenantSession, workflow_id: UUID, signal: Signal) -> int:
    """How manieth run of this workflow a run for this signal would be; 1 for one that no run of it led to."""
    if signal.causation_id is None:
        return 1
    values = {"cause": signal.causation_id, "workflow": workflow_id, "longest": LONGEST}
    return int(await session.scalar(_DEPTH, values) or 0) + 1
