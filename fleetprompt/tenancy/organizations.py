"""Creating organizations, and finding them.

Creation is two transactions: the row (`creating`), then role, schema, tables and `active` in one. A death between
the two leaves a row that the next `create` or `doctor --mend` finishes; a failure is recorded on the row. Both are
safe to repeat, and a schema that stands already (an orphan, a restored backup) is adopted and migrated, never
overwritten.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import NewerDatabase, current_revision
from fleetprompt.database.quiet import lock_tables, patiently
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, FleetPromptError, NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.model import Organization
from fleetprompt.model.states import OrganizationState, fault_point
from fleetprompt.tenancy.roles import role_script, schema_script
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

ROLE_CLASHES = (
    asyncpg.InternalServerError,
    asyncpg.UniqueViolationError,
    asyncpg.UndefinedObjectError,
)
"""Roles belong to the whole server: a tenant made there at the same instant shows as "tuple concurrently updated", or
its role as "does not exist" to a backend that looked for it just before."""
ROLE_WAITS_S = (0.05, 0.1, 0.2, 0.4)


async def create_organization(database: Database, slug: TenantSlug, *, name: str = "") -> Organization:
    """Make the organization, or finish making it; idempotent. Raises what stopped it, after recording it.

    name: what people call it; empty = as its slug. Raises InvalidInput for one that cannot be.
    """
    await _insert_row(database, parse_slug(slug), checked_name(name or slug, "An organization's name"))
    faults.reach("organization.row_made")
    try:
        await advance_schema(database, slug)
    except (asyncpg.PostgresError, FleetPromptError) as error:
        await record_failure(database, slug, error)
        raise
    return await find_organization(database, slug)


async def find_organization(database: Database, slug: TenantSlug) -> Organization:
    """Raises NotFound, naming the ones there are if few."""
    async with database.session() as session:
        found = await session.scalar(select(Organization).where(Organization.slug == slug))
    if found is None:
        raise NotFound(f"There is no organization {slug!r}.", "See: fleetprompt org list")
    return found


async def list_organizations(database: Database) -> list[Organization]:
    """All organizations, by slug."""
    async with database.session() as session:
        return list(await session.scalars(select(Organization).order_by(Organization.slug)))


async def active_slugs(session: AsyncSession) -> list[TenantSlug]:
    """The tenants that can be worked for."""
    active = select(Organization.slug).where(Organization.state == OrganizationState.ACTIVE)
    return [TenantSlug(slug) for slug in await session.scalars(active.order_by(Organization.slug))]


async def advance_schema(database: Database, slug: TenantSlug) -> bool:
    """Role, schema, tables and state in one transaction; False if all stood already. Raises NewerDatabase."""
    async with database.scripting(slug) as connection:
        for wait_s in ROLE_WAITS_S:
            try:
                return await _advance_patiently(connection, slug)
            except ROLE_CLASHES:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))
        return await _advance_patiently(connection, slug)


async def _advance_patiently(connection: asyncpg.Connection[Any], slug: TenantSlug) -> bool:
    return await patiently(lambda: _advance_in_one(connection, slug), f"Organization {slug!r}")


async def _advance_in_one(connection: asyncpg.Connection[Any], slug: TenantSlug) -> bool:
    async with connection.transaction():
        changed = await _advance(connection, slug)
        faults.reach("organization.schema_made")
    faults.reach(fault_point("organization", "creating", "active", committed=True))
    return changed


_STANDING = """
select state, schema_revision, schema_error, exists (select from pg_class
    where relnamespace = to_regnamespace('org_' || slug) and relname = 'alembic_version') as has_tables
from public.organizations where slug = $1 for update
"""


async def _advance(connection: asyncpg.Connection[Any], slug: TenantSlug) -> bool:
    row = await connection.fetchrow(_STANDING, slug)
    if row is None:
        raise NotFound(f"There is no organization {slug!r}.")
    if row["state"] == OrganizationState.DELETING:
        raise Conflict(
            f"Organization {slug!r} is being removed.",
            f"Finish it: fleetprompt org delete {slug} --confirm {slug}",
        )
    head = scripts.head("tenant")
    usable = (OrganizationState.ACTIVE, OrganizationState.SUSPENDED)
    if row["state"] in usable and (row["schema_revision"], row["schema_error"]) == (head, None):
        return False
    enter = role_script(slug) + schema_script(slug) + _enter(slug)
    if row["has_tables"]:
        await connection.execute(enter)
        script = _script(slug, await current_revision(connection, schema_name(slug)), head)
        await lock_tables(connection, schema_name(slug), script)
    else:
        script = enter + _ALONE + _script(slug, None, head)
    await connection.execute(script + _LEAVE + _mark_script(slug, row["state"], head))
    if row["state"] == OrganizationState.CREATING:
        faults.reach(fault_point("organization", "creating", "active"))
    return True


_ALONE = ";\nset local max_parallel_maintenance_workers to 0; set local check_function_bodies to off;\n"
"""Postgres plans for each index how many processes shall build it; these are of empty tables. The functions are always the
same."""
_LEAVE = ";\nreset role; set local search_path to public;\n"


def _enter(slug: TenantSlug) -> str:
    """Looking at a table by name fails where the role may not look; the search path would only pass such a schema over."""
    schema = schema_name(slug)
    return (
        f"set local role {role_name(slug)}; set local search_path to {schema}, pg_temp;"
        f"select to_regclass('{schema}.alembic_version');"
    )


def _script(slug: TenantSlug, start: str | None, head: str) -> str:
    """From where the tables stand to the head. Raises NewerDatabase for tables of a newer program."""
    if scripts.is_newer("tenant", start):
        raise newer_schema(slug)
    return "" if start == head else scripts.upgrade_script("tenant", start)


def newer_schema(slug: TenantSlug) -> NewerDatabase:
    """A newer program migrated this tenant."""
    return NewerDatabase(f"The schema of {slug!r} is newer than this program.", "Upgrade FleetPrompt.")


def _mark_script(slug: TenantSlug, state: str, head: str) -> str:
    """A parsed slug and a revision of ours are safe in SQL."""
    again = "update public.organizations set state = 'creating' where slug = '{0}';"
    mark = (
        "update public.organizations set state = case state when 'suspended' then state else 'active' end,"
        " schema_revision = '{1}', schema_error = null, schema_attempted_at = now() where slug = '{0}'"
    )
    return ((again if state == OrganizationState.FAILED else "") + mark).format(slug, head)


async def _insert_row(database: Database, slug: TenantSlug, name: str) -> None:
    statement = insert(Organization).values(
        id=new_id(), slug=slug, name=name, limits={}, state=OrganizationState.CREATING
    )
    async with database.at_once() as connection:
        await connection.execute(statement.on_conflict_do_nothing(index_elements=["slug"]))


async def record_failure(database: Database, slug: TenantSlug, error: Exception) -> None:
    """Put the error on the organization's row, unless somebody else brought it to the head meanwhile."""
    async with database.session() as session:
        await session.execute(
            text(
                "update public.organizations set schema_error = :error, schema_attempted_at = now(),"
                " state = case state when 'creating' then 'failed' else state end"
                " where slug = :slug and (state <> 'active' or schema_revision is distinct from :head)"
            ),
            {
                "slug": slug,
                "error": (str(error) or type(error).__name__)[:500],
                "head": scripts.head("tenant"),
            },
        )
