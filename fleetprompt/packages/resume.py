"""What waited for an installation's far side need not wait longer, once a person has mended the way there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update

from fleetprompt.model import Directive, InstallationHealth, Job
from fleetprompt.model.states import DirectiveState, JobState
from fleetprompt.packages.directory import lay_role_down
from fleetprompt.tenancy import TenantSession

MENDED: Final = dict.fromkeys(("sending_error", "sending_error_code", "sending_error_at", "sending_remedy"))
UNFINISHED = (DirectiveState.REQUESTED, DirectiveState.RUNNING)


async def unblock(session: TenantSession, installation_id: UUID) -> Sequence[UUID]:
    """Close its breaker; what kept it from sending is tried anew. Returns the directives that may go on, for `run_soon`."""
    calm = update(InstallationHealth).where(InstallationHealth.installation_id == installation_id)
    await session.execute(calm.values(failures=0, blocked_until=None, **MENDED))
    of_it = Directive.installation_id == installation_id
    return list(
        await session.scalars(select(Directive.id).where(of_it, Directive.state.in_(UNFINISHED)).limit(1000))
    )


async def run_soon(session: TenantSession, directive_ids: Sequence[UUID]) -> None:
    """Make their postponed jobs due. Lays the tenant's role down, so it is the last act of its transaction."""
    await lay_role_down(session)
    keys = [f"{session.tenant}:directive:{directive_id}" for directive_id in directive_ids]
    postponed = (
        Job.unique_key.in_(keys),
        Job.state == JobState.AVAILABLE,
        Job.scheduled_at > func.now(),
    )
    await session.execute(update(Job).where(*postponed).values(scheduled_at=func.now()))
