"""An organization from a file that `export` wrote: all of it in one transaction, or nothing.

It comes suspended, so that one can look before it works. Without its secrets its installations are disabled and not
connected. Under another name it is a copy to look at: what waited in the original is not done a second time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

from fleetprompt.database import scripts
from fleetprompt.database.archive import ArchiveReader, Part
from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug, new_id
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
_MEMBERSHIPS = """
insert into public.memberships (user_id, organization_id, role, status)
select u.id, o.id, m.role, m.status from jsonb_to_recordset($1::text::jsonb) as m (email text, role text, status text)
    join public.users u on u.email = m.email join public.organizations o on o.slug = $2
on conflict do nothing
"""
_DISABLE = (
    "update installations set state = 'disabled', updated_at = now() where state = 'installed' returning id"
)
_REGISTRY_UNCONNECTED = {"registry/memberships": _MEMBERSHIPS, "registry/job": _JOBS}
_REGISTRY = {**_REGISTRY_UNCONNECTED, "registry/connections": _CONNECTIONS}


async def restore_organization(
    database: Database, path: Path, *, slug: TenantSlug | None = None, told: Told = lambda *_: None
) -> TenantSlug:
    """Read the file; returns the organization's slug. slug: another than its own.

    Raises InvalidInput for a file that is damaged or of a newer program, Conflict if there is such an organization.
    """
    with ArchiveReader(path, FORMAT, VERSION) as archive:
        target = parse_slug(slug or archive.about["slug"])
        revision = archive.about["schema_revision"]
        if not scripts.known("tenant", revision):
            raise InvalidInput(f"{path} comes from a newer FleetPrompt.", "Upgrade this one first.")
        connection = await database.connect_raw()
        try:
            async with connection.transaction():
                await _restore(connection, archive, target, revision, told)
                faults.reach("restore.loaded")
        finally:
            await connection.close()
    await advance_schema(database, target)
    return target


async def _restore(
    connection: asyncpg.Connection[Any],
    archive: ArchiveReader,
    slug: TenantSlug,
    revision: str,
    told: Told,
) -> None:
    await _make(connection, archive.about, slug, revision)
    is_itself = slug == archive.about["slug"]
    can_connect = (
        is_itself and archive.about["has_credentials"]
    )  # what is sealed opens under its own name alone
    for part in archive.parts:
        if part.table.startswith("tenant/") and (can_connect or SEALED not in part.columns):
            await _load(connection, archive, part, _into(part), ())
            told(part.table, part.rows)
    if not can_connect:
        await connection.execute(_DISABLE)
    await connection.execute("reset role; set local search_path to public")
    wanted = _REGISTRY if can_connect else _REGISTRY_UNCONNECTED if is_itself else {}
    for part in archive.parts:
        if part.table in wanted:
            await _load(connection, archive, part, wanted[part.table], (slug,))
            told(part.table, part.rows)
    for state in ("active", "suspended"):
        await connection.execute("update public.organizations set state = $2 where slug = $1", slug, state)


async def _make(
    connection: asyncpg.Connection[Any], about: dict[str, Any], slug: TenantSlug, revision: str
) -> None:
    """The row and the empty tables, as the file's own revision had them; the session becomes the tenant."""
    if await connection.fetchval("select to_regnamespace($1) is not null", schema_name(slug)):
        raise Conflict(
            f"There is a schema {schema_name(slug)} already.", "Import it under another name: --as SLUG"
        )
    key = about["wrapped_key"] if slug == about["slug"] else None
    try:
        await connection.execute(
            _ROW,
            new_id(),
            slug,
            about["name"],
            about["plan"],
            json.dumps(about["limits"]),
            revision,
            base64.b64decode(key) if key else None,
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
    for batch in _batches(archive.lines(part)):
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
