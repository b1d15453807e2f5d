"""What tests run in processes of their own, by `tests.killing`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy import Tenancy
from fleetprompt.tenancy.migrations import migrate_tenants
from fleetprompt.tenancy.organizations import create_organization
from tests import jobs, scenes
from tests.house import House


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


async def work(url: str, settings: dict[str, Any] | None = None, *kinds: str) -> None:
    """A worker until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(url) as database:
        await jobs.worker_on(database, jobs.registry_of(*kinds), **(settings or {})).serve(stop)


async def play(url: str, name: str, ledger: str) -> None:
    """A scene of `tests.scenes`, from wherever it stands to its end."""
    async with opened(url) as database:
        await scenes.play(House(url, database, Tenancy(database)), name, Path(ledger))
