"""Bring schema `public` to the head. Safe to run twice, at once from two processes, while others serve, and to interrupt.

Migrations expand: until a later release contracts, the program before it serves on what they leave.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict, Unavailable

MIGRATION_LOCK = 0x0F1EE7
LOCK_WAIT_S: Final = 2
"""A table in use is waited for so long at once: whoever wants it after us waits behind us."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0)
"""Between two tries, for those who waited."""


class NewerDatabase(Conflict):
    """A newer program migrated it. This one may serve on it, and must not migrate it."""


async def migrate_public(database: Database) -> str:
    """Migrate the registry and return its revision.

    Raises NewerDatabase, and Unavailable if its tables stay in use; both leave it as it is.
    """
    connection = await database.connect_raw()
    try:
        for pause_s in PAUSES_S:
            try:
                return await _migrate(connection)
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(pause_s)
        return await _migrate(connection)
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            "The registry is not migrated: a long transaction holds one of its tables.",
            "End it (pg_stat_activity names it), then start again; nothing was changed.",
        ) from error
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection[Any]) -> str:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await connection.execute(f"set local lock_timeout to '{LOCK_WAIT_S}s'")
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
    await connection.execute("set local search_path to public")
    await connection.execute(scripts.upgrade_script("public", start))
