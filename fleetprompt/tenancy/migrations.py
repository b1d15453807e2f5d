"""Tenant migrations: each tenant in its own transaction, with its status on its row (rows 8, 9).

Safe to interrupt and to run twice: what is at the head is skipped, what failed says why and is tried again. What a
newer program migrated is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
from sqlalchemy import or_, select

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import NewerDatabase
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization
from fleetprompt.model.states import OrganizationState
from fleetprompt.tenancy.organizations import advance_schema, newer_schema, record_failure

BATCH = 4  # tenants at once; more would hold more locks than a small server likes


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of one tenant; error is None if it is at the head. is_newer: a newer program's, fit to be served."""

    slug: TenantSlug
    error: str | None
    is_newer: bool = False


async def migrate_tenants(
    database: Database,
    *,
    announce: Callable[[int], None] = lambda _: None,
    progress: Callable[[Migrated], None] = lambda _: None,
) -> list[Migrated]:
    """Bring every tenant that is behind to the head; a failure of one stops none of the others.

    announce: hears first how many are behind; progress: what became of each, as it ends.
    """
    limit = asyncio.Semaphore(BATCH)

    async def one(slug: TenantSlug, revision: str | None) -> Migrated:
        async with limit:
            outcome = await _migrate(database, slug, revision)
        progress(outcome)
        faults.reach("migration.tenant_migrated")
        return outcome

    behind = await _behind(database)
    announce(len(behind))
    return list(await asyncio.gather(*[one(slug, revision) for slug, revision in behind]))


async def _behind(database: Database) -> list[tuple[TenantSlug, str | None]]:
    """Those that are not at the head, and where they are."""
    stale = or_(
        Organization.schema_revision.is_distinct_from(scripts.head("tenant")),
        Organization.state.in_([OrganizationState.CREATING, OrganizationState.FAILED]),
        Organization.schema_error.is_not(None),
    )
    async with database.session() as session:
        found = await session.execute(
            select(Organization.slug, Organization.schema_revision)
            .where(stale, Organization.state != OrganizationState.DELETING)
            .order_by(Organization.slug)
        )
        return [(TenantSlug(slug), revision) for slug, revision in found]


async def _migrate(database: Database, slug: TenantSlug, revision: str | None) -> Migrated:
    try:
        if scripts.is_newer("tenant", revision):
            raise newer_schema(slug)
        await advance_schema(database, slug)
    except NewerDatabase as error:
        return Migrated(slug, str(error), is_newer=True)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, FleetPromptError) as error:
        await record_failure(database, slug, error)
        return Migrated(slug, str(error) or type(error).__name__)
    return Migrated(slug, None)
