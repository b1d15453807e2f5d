"""A database from a file that `move_out` wrote, into a server's empty database.

Each tenant is made and filled in a transaction of its own; the registry comes last, so that nothing works for a
tenant before all are there. What is done is noted in `public.move_in`, which goes with the last transaction: after a
death the same command goes on behind the last tenant that is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.archive import ArchiveReader, Part
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import migrate_public
from fleetprompt.database.tables import Table, tables_of
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.move_out import FORMAT, NOT_MOVED, VERSION, Told, require_rest
from fleetprompt.tenancy.organizations import ROLE_CLASHES
from fleetprompt.tenancy.roles import role_script, schema_script
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

UNFIT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
PARALLEL = 4
NOTES = "move_in"
_MAKE_NOTES = """
create table if not exists public.move_in (export_id uuid not null, tenant text primary key);
insert into public.move_in values ($1, '') on conflict do nothing
"""
# Nobody works and nobody listens here yet: what was under way elsewhere is taken up again, by the same rules.
_REST = """
update public.job set state = 'available', worker = null, lease_until = null where state in ('running', 'dispatched');
update public.connections set holder = null, lease_until = null
"""
_SEQUENCES = """
select format('select setval(%L, coalesce((select max(%I) from %s), 1))', s.name, s.column, s.owner) from (
    select pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) as name, a.attname as column,
        format('%I.%I', n.nspname, c.relname) as owner
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped) s where s.name is not null
"""


def open_export(path: Path) -> ArchiveReader:
    """Raises InvalidInput for a file that is none, or that another version of the program wrote."""
    archive = ArchiveReader(path, FORMAT, VERSION)
    if not _is_whole(archive.about):
        archive.close()
        raise InvalidInput(f"{path} is damaged.", "Export anew.")
    theirs = (archive.about["registry_revision"], archive.about["tenant_revision"])
    ours = (scripts.head("public"), scripts.head("tenant"))
    if theirs != ours:
        archive.close()
        raise InvalidInput(
            f"{path} was written at {theirs[0]}, {theirs[1]}; this program is at {ours[0]}, {ours[1]}.",
            "Import with the version that exported, then upgrade.",
        )
    return archive


def _is_whole(about: Mapping[str, Any]) -> bool:
    lists = (about.get("organizations"), about.get("master_keys"))
    words = (*(about.get(name) for name in ("registry_revision", "tenant_revision", "export_id")),)
    listed = [word for one in lists if isinstance(one, list) for word in one]
    try:
        UUID(str(about.get("export_id")))
    except ValueError:
        return False
    return all(isinstance(one, list) for one in lists) and all(
        isinstance(one, str) for one in (*words, *listed)
    )


async def import_database(database: Database, path: Path, *, told: Told = lambda *_: None) -> int:
    """Fill the database; returns how many rows it has then. Repeat it after an interruption.

    Raises Conflict for a database that is not empty, InvalidInput for a file that cannot be used.
    """
    with open_export(path) as archive:
        export_id = UUID(archive.about["export_id"])
        await migrate_public(database)
        done = await _begin(database, export_id)
        waiting = [parse_slug(slug) for slug in archive.about["organizations"] if slug not in done]
        shares = [waiting[share::PARALLEL] for share in range(PARALLEL)]
        await _together(_tenants(database, archive, share, export_id, told) for share in shares if share)
        connection = await database.connect_raw()
        try:
            async with connection.transaction():
                told("registry", await _registry(connection, archive))
                faults.reach("move.registry_loaded")
        finally:
            await connection.close()
        return sum(part.rows for part in archive.parts)


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Raises the first failure, as it is; the others have stopped then."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _begin(database: Database, export_id: UUID) -> set[str]:
    """Which tenants are there already. Raises Conflict for a database that holds anything else."""
    connection = await database.connect_raw()
    try:
        await require_rest(connection)
        if await connection.fetchval("select exists (select from public.organizations)"):
            raise Conflict("The database is not empty: it has organizations.", "Import into a new one.")
        begun = await connection.fetchval("select to_regclass('public.move_in') is not null")
        strays = "select nspname from pg_namespace where nspname ~ '^org_[a-z0-9_]{1,40}$' limit 1"
        if not begun and (stray := await connection.fetchval(strays)):
            raise Conflict(f"The database is not empty: it has the schema {stray}.", "Import into a new one.")
        async with connection.transaction():
            make, note = _MAKE_NOTES.split(";")
            await connection.execute(make)
            await connection.execute(note, export_id)
        rows = await connection.fetch("select export_id, tenant from public.move_in")
        if {row["export_id"] for row in rows} != {export_id}:
            raise Conflict(
                "Another file was imported here, and not to its end.",
                "Go on with that one, or use a new database.",
            )
        return {row["tenant"] for row in rows}
    finally:
        await connection.close()


async def _tenants(
    database: Database, archive: ArchiveReader, slugs: list[TenantSlug], export_id: UUID, told: Told
) -> None:
    connection = await database.connect_raw()
    try:
        for slug in slugs:
            rows = await _tenant(connection, archive, slug, export_id)
            faults.reach("move.tenant_loaded")
            told(slug, rows)
    finally:
        await connection.close()


async def _tenant(
    connection: asyncpg.Connection[Any], archive: ArchiveReader, slug: TenantSlug, export_id: UUID
) -> int:
    for last in (False, False, True):
        try:
            async with connection.transaction():
                return await _fill_tenant(connection, archive, slug, export_id)
        except ROLE_CLASHES:  # another one was made in the same instant
            if last:
                raise
    raise AssertionError


async def _fill_tenant(
    connection: asyncpg.Connection[Any], archive: ArchiveReader, slug: TenantSlug, export_id: UUID
) -> int:
    schema = schema_name(slug)
    await connection.execute(role_script(slug) + schema_script(slug))
    await connection.execute(f"set local role {role_name(slug)}; set local search_path to {schema}, pg_temp")
    await connection.execute(scripts.upgrade_script("tenant", None))
    rows = await _load(connection, archive, schema, f"tenants/{slug}/")
    await connection.execute("reset role; set local search_path to public")
    await connection.execute("insert into public.move_in values ($1, $2)", export_id, slug)
    return rows


async def _registry(connection: asyncpg.Connection[Any], archive: ArchiveReader) -> int:
    tables = [one for one in await tables_of(connection, "public") if one.name not in {*NOT_MOVED, NOTES}]
    for table in reversed(tables):  # what migrations and a first start put there is in the file too
        await connection.execute(
            f"alter table {table.sql} disable trigger user"
        )  # published versions refuse to go
        await connection.execute(f"delete from {table.sql}")  # noqa: S608
        await connection.execute(f"alter table {table.sql} enable trigger user")
    rows = await _load(connection, archive, "public", "registry/")
    await connection.execute(_REST)
    await connection.execute(f"drop table public.{NOTES}")
    return rows


async def _load(connection: asyncpg.Connection[Any], archive: ArchiveReader, schema: str, folder: str) -> int:
    """Copy the members of a folder into their tables, which come in the order of the file; count what is there then."""
    parts = [part for part in archive.parts if part.file.startswith(folder)]
    known = {table.name: {*table.columns} for table in await tables_of(connection, schema)}
    for part in parts:
        if part.table not in known or not {*part.columns} <= known[part.table]:
            raise InvalidInput(
                f"{part.file} is a table that FleetPrompt did not make.",
                "Move it away from there, then export anew.",
            )
        try:
            await _copy(connection, archive, part, schema)
        except UNFIT as error:  # its text would quote a row
            raise InvalidInput(
                f"{part.file} holds what its table cannot ({type(error).__name__}).", "Export anew."
            ) from error
        await _require_all(connection, Table(schema, part.table, part.columns), part)
    for row in await connection.fetch(_SEQUENCES, schema):
        await connection.execute(row[0])
    await connection.execute("analyze " + ", ".join(f'"{schema}"."{part.table}"' for part in parts))
    return sum(part.rows for part in parts)


async def _copy(connection: asyncpg.Connection[Any], archive: ArchiveReader, part: Part, schema: str) -> None:
    with contextlib.closing(archive.chunks(part)) as chunks:
        await connection.copy_to_table(
            part.table,
            schema_name=schema,
            columns=part.columns,
            source=_stream(chunks),
            format="binary",
        )


async def _require_all(connection: asyncpg.Connection[Any], table: Table, part: Part) -> None:
    rows = await connection.fetchval(f"select count(*) from {table.sql}")  # noqa: S608
    if rows != part.rows:
        raise InvalidInput(f"{part.file} gave {rows} rows and not {part.rows}.", "Export anew.")


async def _stream(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
