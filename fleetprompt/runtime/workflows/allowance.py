"""What the organization may use (row 12): runs of workflows count as runs of agents do."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Execution, WorkflowRun
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.limits import own_limits


class TooManyRuns(FleetPromptError):
    """The organization has used up its runs of this hour."""

    code = "limit_runs"


async def require_run(session: TenantSession) -> None:
    """Raises TooManyRuns when the last hour's runs, of agents and of workflows, are as many as allowed."""
    since = clock.now() - timedelta(hours=1)
    runs = select(func.count()).select_from(WorkflowRun).where(WorkflowRun.created_at > since)
    executions = select(func.count()).select_from(Execution).where(Execution.created_at > since)
    used = int(await session.scalar(runs) or 0) + int(await session.scalar(executions) or 0)
    allowed = (await own_limits(session)).runs_per_hour
    if used >= allowed:
        raise TooManyRuns(
            f"The organization has used up its {allowed} runs of this hour.",
            "Wait, or raise it: fleetprompt org set ... --limit runs_per_hour=...",
        )
