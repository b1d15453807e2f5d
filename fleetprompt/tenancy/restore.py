"""An organization from a file that `export` wrote: all of it in one transaction, or nothing.

It comes suspended, so that one can look before it works. Without its secrets its installations are disabled and not
connected. Under another name it is a copy to look at: what waited in the original is not done a second time.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.archive import ArchiveReader, Part
from fleetprompt.database.engine import Database
from fleetprompt.database.tables import tables_of
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.tenancy.export import FORMAT, SEALED, VERSION, Told
from fleetprompt.tenancy.organizations import advance_schema
from fleetprompt.tenancy.roles import role_script, schema_script
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

BATCH_ROWS = 500
BATCH_BYTES = 4_000_000

_ROW = """
insert into public.organizations (id, slug, name, plan, limits, state, schema_revision, schema_attempted_at, wrapped_key,
    created_at) values ($1, $2, $3, $4, $5, 'creating', $6, now(), $7, $8::text::timestamptz)
"""
_ABOUT = {
    "slug": str,
    "name": str,
    "plan": str,
    "limits": dict,
    "schema_revision": str,
    "created_at": str,
    "has_credentials": bool,
    "wrapped_key": str | None,
}
# Whoever holds the account already keeps it; positions and keys of lanes carry the tenant's name, which is the same.
_CONNECTIONS = """
insert into public.connections (installation_id, tenant, connector, account_key, enabled, generation)
select c.installation_id, $2, c.connector, c.account_key, c.enabled, c.generation
from jsonb_to_recordset($1::text::jsonb) as c
    (installation_id uuid, connector text, account_key text, enabled boolean, generation bigint)
on conflict do nothing
"""
_JOBS = """
insert into public.job (id, tenant, kind, args, lane, position, state, priority, attempt, max_attempts, scheduled_at,
    unique_key, correlation_id, last_error, created_at, finished_at)
select gen_random_uuid(), $2, j.kind, j.args, j.lane, j.position,
    case j.state when 'dead' then 'dead' else 'available' end, j.priority, j.attempt, j.max_attempts, j.scheduled_at,
    j.unique_key, j.correlation_id, j.last_error, j.created_at, j.finished_at
from jsonb_populate_recordset(null::public.job, $1::text::jsonb) j
"""
# A person who is unknown here is made, as by `member add`; one who is known stays as they are.
_MEMBERSHIPS = """
with told as (select * from jsonb_to_recordset($1::text::jsonb) as m
        (user_id uuid, email text, name text, role text, status text)
    where m.role in ('member', 'admin', 'owner') and m.status in ('active', 'suspended', 'removed')),
made as (insert into public.users (id, email, name) select user_id, email, name from told
    on conflict do nothing returning id, email)
insert into public.memberships (user_id, organization_id, role, status)
select u.id, o.id, told.role, told.status from told join public.organizations o on o.slug = $2
    join (select id, email from public.users union select id, email from made) u on u.email = told.email
on conflict do nothing
"""
_DISABLE = (
    "update installations set state = 'disabled', updated_at = now() where state in ('installed', 'upgrading')"
    " returning id"
)
_AS_TENANT = "registry/job"
"""Row security keeps jobs of a tenant's role out of the lanes and keys of others."""
_LEAVE = "reset role; set local search_path to public"
UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InsufficientPrivilegeError,
    UnicodeDecodeError,
)
_REGISTRY_UNCONNECTED = {"registry/memberships": _MEMBERSHIPS, "registry/job": _JOBS}
_REGISTRY = {**_REGISTRY_UNCONNECTED, "registry/connections": _CONNECTIONS}


async def restore_organization(
    database: Database, path: Path, *, slug: TenantSlug | None = None, told: Told = lambda *_: None
) -> TenantSlug:
    """Read the file; returns the organization's slug. slug: another than its own.

    Raises InvalidInput for a file that is damaged or of a newer program, Conflict if there is such an organization.
    """
    with open_organization(path) as archive:
        target = parse_slug(slug or archive.about["slug"])
        revision = archive.about["schema_revision"]
        if not scripts.known("tenant", revision):
            raise InvalidInput(f"{path} comes from a newer FleetPrompt.", "Upgrade this one first.")
        connection = await database.connect_raw()
        try:
            async with connection.transaction():
                await _restore(connection, archive, target, revision, told)
                faults.reach("restore.loaded")
        except UNFIT as error:  # its text would quote a row
            raise InvalidInput(
                f"{path} holds what cannot be in an organization ({type(error).__name__}).",
                "Take another copy of the file, or export anew.",
            ) from error
        finally:
            await connection.close()
    await advance_schema(database, target)
    return target


def open_organization(path: Path) -> ArchiveReader:
    """Raises InvalidInput for a file that is none of an organization. Nothing in it is trusted: it may be a stranger's."""
    archive = ArchiveReader(path, FORMAT, VERSION)
    try:
        if not all(
            name in archive.about and isinstance(archive.about[name], is_a) for name, is_a in _ABOUT.items()
        ):
            raise InvalidInput(f"{path} is damaged.", "Export anew.")
        parse_slug(archive.about["slug"])
        checked_name(archive.about["name"], "An organization's name")
        wrapped_key_of(archive)
    except (InvalidInput, binascii.Error):
        archive.close()
        raise InvalidInput(f"{path} is damaged.", "Export anew.") from None
    return archive


def wrapped_key_of(archive: ArchiveReader) -> bytes | None:
    """The organization's key, under the master key of where it was exported."""
    key: str | None = archive.about["wrapped_key"]
    return None if key is None else base64.b64decode(key, validate=True)


async def _restore(
    connection: asyncpg.Connection[Any],
    archive: ArchiveReader,
    slug: TenantSlug,
    revision: str,
    told: Told,
) -> None:
    await _make(connection, archive, slug, revision)
    is_itself = slug == archive.about["slug"]
    # What is sealed opens under its own name alone.
    can_connect = is_itself and archive.about["has_credentials"]
    await _fill(connection, archive, slug, told, sealed=can_connect)
    if not can_connect:
        await connection.execute(_DISABLE)
    wanted = _REGISTRY if can_connect else _REGISTRY_UNCONNECTED if is_itself else {}
    await _register(connection, archive, slug, told, wanted)
    for state in ("active", "suspended"):
        await connection.execute("update public.organizations set state = $2 where slug = $1", slug, state)


async def _fill(
    connection: asyncpg.Connection[Any], archive: ArchiveReader, slug: TenantSlug, told: Told, *, sealed: bool
) -> None:
    """Its own tables. sealed: with those that hold secrets."""
    known = {f"tenant/{one.name}": one.columns for one in await tables_of(connection, schema_name(slug))}
    for part in archive.parts:
        if part.table.startswith("tenant/"):
            _require_known(part, known)
            if sealed or SEALED not in part.columns:
                await _load(connection, archive, part, _into(part), ())
                told(part.table, part.rows)


async def _register(
    connection: asyncpg.Connection[Any],
    archive: ArchiveReader,
    slug: TenantSlug,
    told: Told,
    wanted: Mapping[str, str],
) -> None:
    """What the registry has of it; the session is the service's again."""
    parts = [part for part in archive.parts if part.table in wanted]
    for part in sorted(parts, key=lambda one: one.table != _AS_TENANT):
        if part.table != _AS_TENANT:
            await connection.execute(_LEAVE)
        await _load(connection, archive, part, wanted[part.table], (slug,))
        told(part.table, part.rows)
    await connection.execute(_LEAVE)


async def _make(
    connection: asyncpg.Connection[Any], archive: ArchiveReader, slug: TenantSlug, revision: str
) -> None:
    """The row and the empty tables, as the file's own revision had them; the session becomes the tenant."""
    about = archive.about
    if await connection.fetchval("select to_regnamespace($1) is not null", schema_name(slug)):
        raise Conflict(
            f"There is a schema {schema_name(slug)} already.", "Import it under another name: --as SLUG"
        )
    key = wrapped_key_of(archive) if slug == about["slug"] else None
    try:
        await connection.execute(
            _ROW,
            new_id(),
            slug,
            about["name"],
            about["plan"],
            json.dumps(about["limits"]),
            revision,
            key,
            about["created_at"],
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(
            f"There is an organization {slug!r} already.", "Import it under another name: --as SLUG"
        ) from error
    await connection.execute(role_script(slug) + schema_script(slug))
    await connection.execute(
        f"set local role {role_name(slug)}; set local search_path to {schema_name(slug)}, pg_temp"
    )
    await connection.execute(scripts.upgrade_script("tenant", None, revision))


def _require_known(part: Part, known: Mapping[str, Collection[str]]) -> None:
    """Names of the file become SQL. Raises InvalidInput for those that the schema has not."""
    if part.table not in known or not part.columns or not {*part.columns} <= {*known[part.table]}:
        raise InvalidInput(
            f"{part.file[:80]!r} is of no table that FleetPrompt makes.",
            "Move it away from there, then export anew.",
        )


def _into(part: Part) -> str:
    table, names = part.table.removeprefix("tenant/"), ", ".join(f'"{name}"' for name in part.columns)
    return f'insert into "{table}" ({names}) select {names} from jsonb_populate_recordset(null::"{table}", $1::text::jsonb)'  # noqa: S608


async def _load(
    connection: asyncpg.Connection[Any],
    archive: ArchiveReader,
    part: Part,
    statement: str,
    arguments: tuple[object, ...],
) -> None:
    """Insert the rows of a member, a batch at a time. Raises InvalidInput if they are not as many as they were."""
    rows = 0
    with contextlib.closing(archive.lines(part)) as lines:
        for batch in _batches(lines):
            await connection.execute(statement, "[" + ",".join(batch) + "]", *arguments)
            rows += len(batch)
    if rows != part.rows:
        raise InvalidInput(
            f"{part.file} has {rows} rows and not {part.rows}.", "Take another copy of the file."
        )


def _batches(lines: Iterator[bytes]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line.decode())
        size += len(line)
        if len(batch) == BATCH_ROWS or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
