"""An organization as a file: everything it has, as of one moment, in JSON lines.

The zip holds `manifest.json` (format, slug, name, plan, limits, schema revision; for each table its file, columns,
rows and SHA-256), `tenant/TABLE.jsonl` for each table of its schema, and of the registry's `connections`, `job` and
`memberships` what belongs to it. One row is one line: an object of its columns, as Postgres' `to_jsonb` writes them
(times in ISO 8601, bytes as hexadecimal after `\\x`, numbers exact).

Secrets are left out, and with them every table that holds sealed ones. If asked for, they come as they are stored:
sealed by the organization's key, which is wrapped by the master key, which no export holds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from fleetprompt.database.archive import ArchiveWriter
from fleetprompt.database.engine import Database
from fleetprompt.database.tables import Table, tables_of
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

FORMAT, VERSION = "fleetprompt-organization", 1
PREFETCH_ROWS = 200
SEALED = "sealed"
"""A column of this name holds secrets."""
Told = Callable[[str, int], None]
"""Hears of each table its name and its rows."""

_REGISTRY = {
    "connections": "select installation_id, connector, account_key, enabled, generation, created_at"
    " from public.connections where tenant = $1",
    "job": "select * from public.job where tenant = $1",
    "memberships": "select m.*, u.email, u.name from public.memberships m join public.users u on u.id = m.user_id"
    " join public.organizations o on o.id = m.organization_id where o.slug = $1",
}


async def export_organization(
    database: Database,
    slug: TenantSlug,
    path: Path,
    *,
    with_credentials: bool = False,
    told: Told = lambda *_: None,
) -> dict[str, Any]:
    """Write the file; returns its manifest's head. Raises NotFound, Conflict for one that is unfinished or a file that is there."""
    connection = await database.connect_raw()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            about = await _about(connection, parse_slug(slug), with_credentials)
            with ArchiveWriter(path) as archive:
                for name, query in _REGISTRY.items():
                    await _write(connection, archive, f"registry/{name}", query, (), told, slug)
                await connection.execute(f"set local role {role_name(slug)}")
                for table in await tables_of(connection, schema_name(slug)):
                    if _is_wanted(table, with_credentials):
                        query = f"select {table.columns_sql} from {table.sql}"  # noqa: S608
                        await _write(connection, archive, f"tenant/{table.name}", query, table.columns, told)
                archive.finish(about)
    finally:
        await connection.close()
    return about


async def _about(
    connection: asyncpg.Connection[Any], slug: TenantSlug, with_credentials: bool
) -> dict[str, Any]:
    row = await connection.fetchrow(
        "select o.*, now() as exported_at, to_regnamespace($2) is not null as stands"
        " from public.organizations o where slug = $1",
        slug,
        schema_name(slug),
    )
    if row is None:
        raise NotFound(f"There is no organization {slug!r}.", "See: fleetprompt org list")
    if not row["stands"] or row["schema_revision"] is None:
        raise Conflict(f"Organization {slug!r} is not whole.", "See: fleetprompt doctor")
    key = row["wrapped_key"] if with_credentials else None
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: row[name] for name in ("slug", "name", "plan", "state", "schema_revision", "created_at")},
        "limits": json.loads(row["limits"]),
        "exported_at": row["exported_at"].isoformat(),
        "has_credentials": with_credentials,
        "wrapped_key": None if key is None else base64.b64encode(key).decode(),
    }


def _is_wanted(table: Table, with_credentials: bool) -> bool:
    return table.name != "alembic_version" and (with_credentials or SEALED not in table.columns)


async def _write(
    connection: asyncpg.Connection[Any],
    archive: ArchiveWriter,
    name: str,
    query: str,
    columns: tuple[str, ...],
    told: Told,
    *arguments: object,
) -> None:
    """Stream the rows of a query into a member, a few at a time."""
    rows = 0
    with archive.member(f"{name}.jsonl") as member:
        objects = f"select to_jsonb(t)::text from ({query}) t"  # noqa: S608
        async for row in connection.cursor(objects, *arguments, prefetch=PREFETCH_ROWS):
            member.write(row[0].encode() + b"\n")
            rows += 1
    archive.add(f"{name}.jsonl", name, columns, rows, member)
    faults.reach("export.table_written")
    told(name, rows)
