"""Removing an organization for good, in steps that may be interrupted anywhere and repeated.

1. One transaction: it is `deleting`, so that no job of it is claimed; its jobs are gone, so that what runs can write
   no more; its connections are disabled, so that listeners let go.
2. Nobody holds a connection any more, or its lease has run out.
3. One transaction: schema, role, and every row of the registry.

A death between them leaves a row that says `deleting`: `fleetprompt doctor` shows it, and the same command goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import OrganizationState, check_move, fault_point
from fleetprompt.tenancy.belongings import belongings
from fleetprompt.tenancy.roles import owner_script, role_script
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

LOOK_EVERY_S = 0.1
LOCK_WAIT_S = 2  # a transaction of the tenant that is still open; those behind us wait as long
LOCK_TRIES = 10

_HELD = (
    "select count(*) from public.connections where tenant = $1 and holder is not null"
    " and lease_until > clock_timestamp()"
)


async def delete_organization(
    database: Database, slug: TenantSlug, *, told: Callable[[str], None] = lambda _: None
) -> bool:
    """Remove it and all its data. told: hears what is done, step by step.

    Returns whether its role is gone too: another database of this server may still use it. Raises NotFound.
    """
    connection = await database.connect_raw()
    try:
        organization_id, jobs = await _begin(connection, parse_slug(slug))
        told(f"{jobs} jobs canceled, its connections are closing")
        await _quiet(connection, slug)
        faults.reach("organization.quiet")
        return await _remove(connection, slug, organization_id)
    finally:
        await connection.close()


async def _begin(connection: asyncpg.Connection[Any], slug: TenantSlug) -> tuple[UUID, int]:
    """Nothing of it is begun from here on; returns its id and how many jobs there were."""
    async with connection.transaction():
        row = await connection.fetchrow(
            "select id, state from public.organizations where slug = $1 for update", slug
        )
        if row is None:
            raise NotFound(f"There is no organization {slug!r}.", "See: fleetprompt org list")
        if row["state"] != OrganizationState.DELETING:
            check_move("organization", row["state"], OrganizationState.DELETING)
            await connection.execute(
                "update public.organizations set state = 'deleting' where slug = $1", slug
            )
            faults.reach(fault_point("organization", row["state"], "deleting"))
        await connection.execute(
            "update public.connections set enabled = false, generation = generation + 1 where tenant = $1",
            slug,
        )
        gone = await connection.execute("delete from public.job where tenant = $1", slug)
    if row["state"] != OrganizationState.DELETING:
        faults.reach(fault_point("organization", row["state"], "deleting", committed=True))
    return row["id"], int(gone.split()[-1])


async def _quiet(connection: asyncpg.Connection[Any], slug: TenantSlug) -> None:
    """A lease that is not prolonged runs out, so this ends."""
    while await connection.fetchval(_HELD, slug):  # noqa: ASYNC110 (listeners are other processes)
        await asyncio.sleep(LOOK_EVERY_S)


async def _remove(connection: asyncpg.Connection[Any], slug: TenantSlug, organization_id: UUID) -> bool:
    for _ in range(LOCK_TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout to '{LOCK_WAIT_S}s'")
                await _drop_schema(connection, slug)
                role_is_gone = await _drop_role(connection, slug)
                await _forget(connection, slug, organization_id)
                faults.reach("organization.schema_dropped")
            faults.reach("organization.removed")
            return role_is_gone
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            continue
    raise Conflict(
        f"A transaction on the data of {slug!r} does not end.",
        "Stop what uses it, such as a backup, then repeat this command.",
    )


async def _drop_schema(connection: asyncpg.Connection[Any], slug: TenantSlug) -> None:
    schema = schema_name(slug)
    if await connection.fetchval("select to_regnamespace($1) is null", schema):
        return
    await connection.execute(role_script(slug) + owner_script(slug))
    await connection.execute(f"set local role {role_name(slug)}; drop schema {schema} cascade; reset role")


async def _drop_role(connection: asyncpg.Connection[Any], slug: TenantSlug) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"drop role if exists {role_name(slug)}")
    except (asyncpg.DependentObjectsStillExistError, asyncpg.InsufficientPrivilegeError):
        return False  # of another database's tenant too, or made by somebody else
    return True


async def _forget(connection: asyncpg.Connection[Any], slug: TenantSlug, organization_id: UUID) -> None:
    for one in reversed(await belongings(connection, slug, organization_id)):
        await connection.execute(f"delete from {one.table.sql} where {one.where}", one.key)  # noqa: S608
