"""What tests run in processes of their own, by `tests.killing`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.migrations import migrate_tenants
from fleetprompt.tenancy.organizations import create_organization


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The test's database, for this process."""
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def create(url: str, slug: str) -> None:
    """Make an organization."""
    async with opened(url) as database:
        await create_organization(database, TenantSlug(slug))


async def migrate(url: str) -> None:
    """Bring all tenants to the head."""
    async with opened(url) as database:
        await migrate_tenants(database)
