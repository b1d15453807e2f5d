"""Bring schema `public` to the head. Safe to run twice, at once from two processes, and to interrupt."""

from __future__ import annotations

from typing import Any

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict

MIGRATION_LOCK = 0x0F1EE7


async def migrate_public(database: Database) -> str:
    """Migrate the registry and return its revision. Raises Conflict if the database is newer than this program."""
    connection = await database.connect_raw()
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
            start = await current_revision(connection, "public")
            await _advance(connection, start)
    finally:
        await connection.close()
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
    if start is not None and not scripts.known("public", start):
        raise Conflict(
            "The database is newer than this program.", "Upgrade FleetPrompt; the database is unchanged."
        )
    await connection.execute("set local search_path to public")
    await connection.execute(scripts.upgrade_script("public", start))
