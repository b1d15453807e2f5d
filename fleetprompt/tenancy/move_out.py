"""The whole database as a file: the registry and every tenant, as of one moment, to be moved into another server.

The zip holds each table's rows as Postgres' binary COPY, and a manifest; not the tables themselves, which the same
program's migrations make again, with roles and grants, whoever owns them there. So this needs no superuser and no
program of Postgres. Each tenant is read in a transaction of its own, all on one exported snapshot: the locks of a
thousand tenants at once are more than a server has. What only one server can know (who works, who listens) stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.archive import ArchiveWriter
from fleetprompt.database.engine import Database
from fleetprompt.database.tables import Table, tables_of
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.tenancy.slugs import role_name, schema_name

FORMAT, VERSION = "fleetprompt-database", 1
NOT_MOVED = frozenset({"alembic_version", "legal_move", "worker"})
FINGERPRINT_BYTES = 8  # of the master key, in front of a wrapped key
ALIVE_S = 15
Told = Callable[[str, int], None]
"""Hears of the registry and of each tenant the name and the rows."""

_RUNNING = """
select (select count(*) from public.worker where seen_at > now() - make_interval(secs => $1)),
    (select count(distinct holder) from public.connections where lease_until > now())
"""
_UNREADY = """
select slug, state from public.organizations
where state in ('creating', 'failed', 'deleting') or schema_revision is distinct from $1 order by slug limit 1
"""


async def export_database(
    database: Database, path: Path, *, force: bool = False, told: Told = lambda *_: None
) -> dict[str, Any]:
    """Write the file; returns its manifest's head. The database must be at this program's version.

    force: although something works on it; what happens after this moment is not in the file then.
    Raises Conflict while something works on it, or for an organization that is not whole.
    """
    holder = await database.connect_raw()
    try:
        if not force:
            await require_rest(holder)
        async with holder.transaction(isolation="repeatable_read", readonly=True):
            about, slugs = await _about(holder)
            with ArchiveWriter(path) as archive:
                tables = [one for one in await tables_of(holder, "public") if one.name not in NOT_MOVED]
                told("registry", await _copy(holder, archive, "registry", tables))
                await _tenants(database, archive, about["snapshot"], slugs, told)
                archive.finish({**about, "organizations": slugs})
    finally:
        await holder.close()
    return about


async def require_rest(connection: asyncpg.Connection[Any]) -> None:
    """Raises Conflict while workers or listeners are at work on this database."""
    workers, listeners = await connection.fetchrow(_RUNNING, ALIVE_S)
    if workers or listeners:
        raise Conflict(
            f"{workers} workers and {listeners} listeners are at work on this database.",
            "Stop FleetPrompt, and wait a quarter of a minute if it was killed.",
        )


async def _about(holder: asyncpg.Connection[Any]) -> tuple[dict[str, Any], list[TenantSlug]]:
    unready = await holder.fetchrow(_UNREADY, scripts.head("tenant"))
    if unready is not None:
        raise Conflict(
            f"Organization {unready['slug']!r} is {unready['state']}, or behind this program.",
            "See: fleetprompt doctor",
        )
    rows = await holder.fetch("select slug, wrapped_key from public.organizations order by slug")
    keys = {row["wrapped_key"][:FINGERPRINT_BYTES].hex() for row in rows if row["wrapped_key"] is not None}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "export_id": str(new_id()),
        "exported_at": (await holder.fetchval("select now()")).isoformat(),
        "snapshot": await holder.fetchval("select pg_export_snapshot()"),
        "registry_revision": scripts.head("public"),
        "tenant_revision": scripts.head("tenant"),
        "master_keys": sorted(keys),
    }
    return about, [TenantSlug(row["slug"]) for row in rows]


async def _tenants(
    database: Database, archive: ArchiveWriter, snapshot: str, slugs: list[TenantSlug], told: Told
) -> None:
    connection = await database.connect_raw()
    try:
        for slug in slugs:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(
                    f"set transaction snapshot '{snapshot}'; set local role {role_name(slug)}"
                )
                tables = await tables_of(connection, schema_name(slug))
                moved = [table for table in tables if table.name not in NOT_MOVED]
                told(slug, await _copy(connection, archive, f"tenants/{slug}", moved))
    finally:
        await connection.close()


async def _copy(
    connection: asyncpg.Connection[Any], archive: ArchiveWriter, folder: str, tables: list[Table]
) -> int:
    """Stream tables into members; returns how many rows."""
    in_all = 0
    for table in tables:
        file = f"{folder}/{table.name}.copy"
        with archive.member(file) as member:
            said = await connection.copy_from_table(
                table.name,
                schema_name=table.schema,
                columns=table.columns,
                output=member.pour,
                format="binary",
            )
        rows = int(said.split()[-1])
        archive.add(file, table.name, table.columns, rows, member)
        in_all += rows
        faults.reach("export.table_written")
    return in_all
