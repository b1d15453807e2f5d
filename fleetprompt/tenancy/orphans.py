"""What `fleetprompt doctor` says about tenants: rows, schemas and roles that do not belong together.

`find_orphans` only looks. `mend` finishes what was begun and adopts what stands; it never deletes data: the only
thing it drops is an empty schema, and without CASCADE, so that Postgres itself refuses any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import OrganizationState
from fleetprompt.tenancy.organizations import create_organization
from fleetprompt.tenancy.roles import owner_script, role_script
from fleetprompt.tenancy.slugs import role_name, schema_name


class Kind(StrEnum):
    """What can be wrong with a tenant."""

    ORPHAN_SCHEMA = "orphan_schema"
    EMPTY_SCHEMA = "empty_schema"
    FOREIGN_SCHEMA = "foreign_schema"
    MISSING_SCHEMA = "missing_schema"
    MISSING_ROLE = "missing_role"
    FOREIGN_OWNER = "foreign_owner"
    UNFINISHED = "unfinished"
    DELETING = "deleting"
    OTHER_REVISION = "other_revision"


MEND = "fleetprompt doctor --mend"
REMEDIES = {
    Kind.ORPHAN_SCHEMA: f"{MEND} adopts it as an organization of that name.",
    Kind.EMPTY_SCHEMA: f"{MEND} drops it.",
    Kind.FOREIGN_SCHEMA: "Rename it if it is of another program; FleetPrompt leaves it alone.",
    Kind.MISSING_SCHEMA: "Restore the schema from a backup; FleetPrompt will not put an empty one in its place.",
    Kind.MISSING_ROLE: f"{MEND} makes the role and its grants.",
    Kind.FOREIGN_OWNER: f"{MEND} gives it to the tenant's role.",
    Kind.UNFINISHED: f"{MEND} finishes it.",
    Kind.DELETING: "Repeat: fleetprompt org delete SLUG --confirm SLUG",
    Kind.OTHER_REVISION: f"{MEND} migrates it.",
}
NOT_MENDED = frozenset({Kind.FOREIGN_SCHEMA, Kind.MISSING_SCHEMA, Kind.DELETING})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. sentence: for a person; remedy: what to do about it."""

    kind: Kind
    slug: TenantSlug
    sentence: str

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDIES[self.kind].replace("SLUG", self.slug)

    @property
    def is_mendable(self) -> bool:
        """Whether `mend` does something about it."""
        return self.kind not in NOT_MENDED


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of a finding; error is None if it is gone."""

    finding: Finding
    error: str | None


_LOOK = """
with schemas as (
    select oid, substr(nspname, 5) as slug, nspowner as owner from pg_namespace where nspname ~ '^org_[a-z0-9_]{1,40}$'
), tenants as (
    select coalesce(o.slug, s.slug) as slug, o.state, o.schema_revision, o.schema_error, s.oid, s.owner,
        (select oid from pg_roles where rolname = 'r_org_' || coalesce(o.slug, s.slug)) as role
    from public.organizations o full join schemas s on s.slug = o.slug)
select t.slug, t.state, t.schema_revision, t.schema_error, t.oid is not null as has_schema,
    exists (select from pg_depend where refclassid = 'pg_namespace'::regclass and refobjid = t.oid) as has_objects,
    (select count(*) from pg_class c where c.relnamespace = t.oid and c.relname in ('alembic_version', 'signals')) = 2
        as is_ours,
    t.role is not null and pg_has_role(t.role, 'fleetprompt_tenant', 'member') and exists (
        select from pg_auth_members m where m.roleid = t.role and m.member = quote_ident(current_user)::regrole
            and m.set_option and not m.inherit_option) as has_role,
    t.role is not null and t.owner = t.role and not exists (
        select from pg_class c where c.relnamespace = t.oid and c.relowner <> t.role) as is_owned
from tenants t order by t.slug
"""


async def find_orphans(database: Database) -> list[Finding]:
    """Everything that is wrong, by tenant."""
    connection = await database.connect_raw()
    try:
        rows = await connection.fetch(_LOOK)
        found = [finding for row in rows for finding in _judge(row)]
        return found + [finding for row in rows async for finding in _compare_revision(connection, row)]
    finally:
        await connection.close()


async def mend(database: Database) -> list[Mended]:
    """Mend what can be mended, one finding after the other; a failure of one stops none of the others."""
    return [
        await _mend_one(database, finding) for finding in await find_orphans(database) if finding.is_mendable
    ]


def _judge(row: asyncpg.Record) -> Iterator[Finding]:
    """What is wrong with one tenant, but for its revision."""
    slug = TenantSlug(row["slug"])
    if row["state"] is None:
        yield _stray(row, slug)
    elif row["state"] == OrganizationState.DELETING:
        yield Finding(Kind.DELETING, slug, f"The removal of organization {slug!r} was interrupted.")
    elif row["state"] in (OrganizationState.CREATING, OrganizationState.FAILED):
        why = row["schema_error"] or "its creation was interrupted"
        yield Finding(Kind.UNFINISHED, slug, f"Organization {slug!r} is {row['state']}: {why}.")
    elif not row["has_schema"]:
        yield Finding(
            Kind.MISSING_SCHEMA, slug, f"Organization {slug!r} has lost its schema {schema_name(slug)}."
        )
    elif not row["has_role"]:
        yield Finding(
            Kind.MISSING_ROLE,
            slug,
            f"The role {role_name(slug)} is missing, or the service may not take it on.",
        )
    elif not row["is_owned"]:
        yield Finding(
            Kind.FOREIGN_OWNER, slug, f"Not all of schema {schema_name(slug)} belongs to {role_name(slug)}."
        )


def _stray(row: asyncpg.Record, slug: TenantSlug) -> Finding:
    schema = schema_name(slug)
    if not row["has_objects"]:
        return Finding(Kind.EMPTY_SCHEMA, slug, f"Schema {schema} is empty and of no organization.")
    if not row["is_ours"]:
        return Finding(
            Kind.FOREIGN_SCHEMA, slug, f"Schema {schema} has tables that FleetPrompt did not make."
        )
    return Finding(
        Kind.ORPHAN_SCHEMA, slug, f"Schema {schema} holds a tenant's data, but no organization has it."
    )


async def _compare_revision(
    connection: asyncpg.Connection[Any], row: asyncpg.Record
) -> AsyncIterator[Finding]:
    """A schema restored from an older backup stands behind its row, so nobody would migrate it."""
    if row["schema_revision"] is None or not (row["is_ours"] and row["has_role"] and row["is_owned"]):
        return
    slug = TenantSlug(row["slug"])
    found = await _revision(connection, slug)
    if found != row["schema_revision"]:
        yield Finding(
            Kind.OTHER_REVISION,
            slug,
            f"Schema {schema_name(slug)} is at {found}, its organization at {row['schema_revision']}.",
        )


async def _revision(connection: asyncpg.Connection[Any], slug: TenantSlug) -> str | None:
    async with connection.transaction():
        await connection.execute(f"set local role {role_name(slug)}")
        found = await connection.fetchval(f"select version_num from {schema_name(slug)}.alembic_version")  # noqa: S608
    return None if found is None else str(found)


async def _mend_one(database: Database, finding: Finding) -> Mended:
    try:
        await _MENDERS[finding.kind](database, finding.slug)
    except (asyncpg.PostgresError, FleetPromptError) as error:
        return Mended(finding, str(error))
    return Mended(finding, None)


async def _own(database: Database, slug: TenantSlug) -> None:
    """The role, its grants, and what lies in its schema."""
    await _execute(database, role_script(slug) + owner_script(slug))


async def _finish(database: Database, slug: TenantSlug) -> None:
    """Make, adopt or finish the organization."""
    await _own(database, slug)
    await create_organization(database, slug)


async def _migrate(database: Database, slug: TenantSlug) -> None:
    """Believe the schema, then bring it to the head."""
    connection = await database.connect_raw()
    try:
        found = await _revision(connection, slug)
        await connection.execute(
            "update public.organizations set schema_revision = $1 where slug = $2", found, slug
        )
    finally:
        await connection.close()
    await create_organization(database, slug)


async def _drop_empty(database: Database, slug: TenantSlug) -> None:
    await _own(database, slug)
    await _execute(database, f"set local role {role_name(slug)}; drop schema {schema_name(slug)}")


async def _execute(database: Database, script: str) -> None:
    connection = await database.connect_raw()
    try:
        async with connection.transaction():
            await connection.execute(script)
    finally:
        await connection.close()


_MENDERS: dict[Kind, Callable[[Database, TenantSlug], Awaitable[None]]] = {
    Kind.ORPHAN_SCHEMA: _finish,
    Kind.EMPTY_SCHEMA: _drop_empty,
    Kind.MISSING_ROLE: _own,
    Kind.FOREIGN_OWNER: _own,
    Kind.UNFINISHED: _finish,
    Kind.OTHER_REVISION: _migrate,
}
