"""A migrated database with two tenants, for tests: what one writes, the other must never see."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import migrate_public
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.packages.publishing import publish_first_party
from fleetprompt.tenancy import Tenancy
from fleetprompt.tenancy.organizations import create_organization
from tests.database import fresh_database, template_database

ACME = TenantSlug("acme")
GLOBEX = TenantSlug("globex")
_made: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class House:
    """One database of one test. url: for other processes."""

    url: str
    database: Database
    tenancy: Tenancy

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Look (or change) as the service's own role, beside all sessions."""
        connection = await self.database.connect_raw()
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row; None without one."""
        found = await self.rows(sql, *arguments)
        return found[0][0] if found else None

    async def tenant_rows(self, tenant: TenantSlug, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Look (or change) as one tenant, beside all sessions."""
        connection = await self.database.connect_raw()
        try:
            await connection.execute(f"set role r_org_{tenant}; set search_path to org_{tenant}, pg_temp")
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def bare_house(*, pool_size: int = 20) -> AsyncIterator[House]:
    """A migrated registry with the packages of this program, without tenants."""
    async with fresh_database() as url:
        database = Database(url, pool_size=pool_size)
        try:
            await _migrate(database)
            yield House(url, database, Tenancy(database))
        finally:
            await database.close()


@contextlib.asynccontextmanager
async def fresh_house(*, pool_size: int = 20) -> AsyncIterator[House]:
    """With the tenants acme and globex: a copy of the first that this process made."""
    async with fresh_database(await _template()) as url:
        database = Database(url, pool_size=pool_size)
        try:
            yield House(url, database, Tenancy(database))
        finally:
            await database.close()


@contextlib.asynccontextmanager
async def embedded_house(server: EmbeddedPostgres) -> AsyncIterator[House]:
    """Two tenants on a server of their own."""
    database = Database((await server.start()).url(), pool_size=5)
    try:
        await _migrate(database)
        for slug in (ACME, GLOBEX):
            await create_organization(database, slug)
        yield House(database.url.render_as_string(hide_password=False), database, Tenancy(database))
    finally:
        await database.close()


async def _template() -> str:
    """Made once a process."""
    if "name" not in _made:
        _made["name"] = await template_database(_furnish)
    return _made["name"]


async def _furnish(url: str) -> None:
    database = Database(url, pool_size=2)
    try:
        await _migrate(database)
        for slug in (ACME, GLOBEX):
            await create_organization(database, slug)
    finally:
        await database.close()


async def _migrate(database: Database) -> None:
    await migrate_public(database)
    assert await publish_first_party(database) == []
