"""Bring schema `public` to the head. Safe to run twice, at once from two processes, while others serve, and to interrupt.

Migrations expand: until a later release contracts, the program before it serves on what they leave.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.database.quiet import lock_tables, patiently
from fleetprompt.kernel.errors import Conflict

MIGRATION_LOCK = 0x0F1EE7


class NewerDatabase(Conflict):
    """A newer program migrated it. This one may serve on it, and must not migrate it."""


async def migrate_public(database: Database) -> str:
    """Migrate the registry and return its revision.

    Raises NewerDatabase, and Unavailable if its tables stay in use; both leave it as it is.
    """
    connection = await database.connect_raw()
    try:
        return await patiently(lambda: _migrate(connection), "The registry")
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection[Any]) -> str:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await _advance(connection, await current_revision(connection, "public"))
    return scripts.head("public")


async def current_revision(connection: asyncpg.Connection[Any], schema: str) -> str | None:
    """The revision that a schema's own version table names; None for an empty or missing schema."""
    if (
        await connection.fetchval("select to_regclass(format('%I.alembic_version', $1::text))", schema)
        is None
    ):
        return None
    revision = await connection.fetchval(f'select version_num from "{schema}".alembic_version')  # noqa: S608
    return str(revision) if revision is not None else None


async def _advance(connection: asyncpg.Connection[Any], start: str | None) -> None:
    if start == scripts.head("public"):
        return
    if scripts.is_newer("public", start):
        raise NewerDatabase(
            "The database is newer than this program.", "Upgrade FleetPrompt; the database is unchanged."
        )
    script = scripts.upgrade_script("public", start)
    if start is not None:
        await lock_tables(connection, "public", script)
    await connection.execute("set local search_path to public")
    await connection.execute(script)
