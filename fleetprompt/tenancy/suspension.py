"""A tenant at rest: what comes in is recorded, nothing of it is worked on, until it is resumed.

Enforced where jobs are claimed, so that it holds for every worker from the commit on. What runs at that moment ends;
connections stay, so that nothing is missed; recurring jobs pause.
"""

from __future__ import annotations

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization
from fleetprompt.model.states import OrganizationState, check_move, fault_point
from fleetprompt.tenancy.organizations import find_organization

_MOVE = text(
    "update public.organizations set state = :target where slug = :slug and state = :source returning true"
)
_WAKE = text(
    "select pg_notify('fleetprompt_job', '')"
)  # what waited is claimed at once, and not at the next poll


async def suspend(database: Database, slug: TenantSlug) -> Organization:
    """Claim no more of its jobs; idempotent. Raises NotFound, or Conflict for one that is not usable."""
    return await _bring(database, slug, OrganizationState.SUSPENDED)


async def resume(database: Database, slug: TenantSlug) -> Organization:
    """Work again, with what waited first; idempotent. Raises as `suspend`."""
    return await _bring(database, slug, OrganizationState.ACTIVE)


async def _bring(database: Database, slug: TenantSlug, target: OrganizationState) -> Organization:
    found = await find_organization(database, slug)
    if found.state == target:
        return found
    if found.state == OrganizationState.CREATING and target == OrganizationState.ACTIVE:
        raise Conflict(
            f"Organization {slug!r} is still being made.", f"Finish it: fleetprompt org create {slug}"
        )
    check_move("organization", found.state, target)
    await _move(database, slug, found.state, target)
    return await find_organization(database, slug)


async def _move(database: Database, slug: TenantSlug, source: str, target: str) -> None:
    """Raises Conflict when somebody else moved it meanwhile."""
    async with database.session() as session:
        values = {"slug": slug, "source": source, "target": target}
        if (await session.execute(_MOVE, values)).one_or_none() is None:
            raise Conflict(f"Organization {slug!r} was changed meanwhile.", "Look, then try again.")
        faults.reach(fault_point("organization", source, target))
        await session.execute(_WAKE)
    faults.reach(fault_point("organization", source, target, committed=True))
