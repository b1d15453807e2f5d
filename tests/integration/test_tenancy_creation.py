"""Making organizations: once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import URL, make_url, text

from fleetprompt.database import scripts
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import migrate_public
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import OrganizationState, fault_point
from fleetprompt.tenancy import Tenancy, organizations, parse_slug
from fleetprompt.tenancy.organizations import create_organization, find_organization, list_organizations
from tests import programs
from tests.database import execute, fresh_database, server_url
from tests.house import ACME, House, bare_house
from tests.killing import dies

NEW = TenantSlug("newcomer")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with bare_house() as made:
        yield made


async def works(house: House, slug: TenantSlug) -> bool:
    """Whether the tenant is active and its tables answer."""
    found = await find_organization(house.database, slug)
    async with house.tenancy.session(slug) as session:
        signals = (await session.execute(text("select count(*) from signals"))).scalar_one()
    return (found.state, found.schema_error, signals) == (OrganizationState.ACTIVE, None, 0)


async def test_a_second_creation_finds_the_first(house: House) -> None:
    first = await create_organization(house.database, NEW, name="The first")
    second = await create_organization(house.database, NEW, name="The second")
    assert (second.id, second.name) == (first.id, "The first")
    assert await works(house, NEW)


async def test_one_slug_created_by_many_at_once_is_one_organization(house: House) -> None:
    made = await asyncio.gather(*[create_organization(house.database, NEW) for _ in range(10)])
    assert len({organization.id for organization in made}) == 1
    assert await works(house, NEW)


async def test_many_slugs_are_created_at_once(house: House) -> None:
    slugs = [TenantSlug(f"many_{number}") for number in range(20)]
    await asyncio.gather(*[create_organization(house.database, slug) for slug in slugs])
    assert {organization.slug for organization in await list_organizations(house.database)} == set(slugs)
    assert all([await works(house, slug) for slug in slugs])


@pytest.mark.parametrize(
    "fault",
    [
        "organization.row_made",
        "organization.schema_made",
        fault_point("organization", "creating", "active"),
        fault_point("organization", "creating", "active", committed=True),
    ],
)
async def test_a_creation_that_was_killed_is_finished_by_the_next(house: House, fault: str) -> None:
    await dies(programs.create, house.url, NEW, fault=fault)
    await create_organization(house.database, NEW)
    assert await works(house, NEW)
    assert await house.value("select count(*) from public.organizations") == 1


async def test_a_failure_is_recorded_and_a_retry_heals_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = scripts.upgrade_script("tenant", None)
    with monkeypatch.context() as broken:
        broken.setattr(scripts, "upgrade_script", lambda *_: script + "; select 1/0;")
        with pytest.raises(Exception, match="division by zero"):
            await create_organization(house.database, NEW)
    failed = await find_organization(house.database, NEW)
    assert (failed.state, failed.schema_error) == (OrganizationState.FAILED, "division by zero")
    assert await house.value("select to_regnamespace('org_newcomer')") is None
    await create_organization(house.database, NEW)
    assert await works(house, NEW)


async def test_a_clash_on_the_roles_of_the_server_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles belong to the whole server, so a tenant of another database can be in the way for a moment."""
    clashes = iter(["XX000", "23505", "40P01", "42704"])
    real = organizations._advance

    async def clash(connection: Any, slug: TenantSlug) -> bool:
        if (code := next(clashes, None)) is not None:
            await connection.execute(f"do $$ begin raise exception 'clash' using errcode = '{code}'; end $$")
        return await real(connection, slug)

    monkeypatch.setattr(organizations, "_advance", clash)
    await create_organization(house.database, NEW)
    assert await works(house, NEW)


@pytest.mark.parametrize(
    "slug",
    ["", "Acme", "a-b", "a b", "é", "a" * 41, 'a";drop schema public', "a\n", "a.b", "\x00", "ａ"],
)
async def test_a_bad_slug_makes_nothing(house: House, slug: str) -> None:
    with pytest.raises(InvalidInput, match="Use 1 to 40"):
        parse_slug(slug)
    with pytest.raises(InvalidInput, match="Use 1 to 40"):
        await create_organization(house.database, TenantSlug(slug))
    assert await list_organizations(house.database) == []


@pytest.mark.parametrize("slug", ["a", "_", "0", "public", "pg_catalog", "select", "a" * 40])
async def test_an_odd_slug_is_a_name_like_any_other(house: House, slug: str) -> None:
    await create_organization(house.database, parse_slug(slug))
    assert await works(house, TenantSlug(slug))


async def test_a_tables_name_never_meets_another_tenants(house: House) -> None:
    await create_organization(house.database, ACME)
    await create_organization(house.database, TenantSlug("acme_2"))
    schemas = await house.rows(
        "select schemaname::text from pg_tables where tablename = 'signals' order by 1"
    )
    assert [row[0] for row in schemas] == ["org_acme", "org_acme_2"]


async def test_the_service_may_log_in_under_a_name_that_needs_quotes(house: House) -> None:
    name = f"Fleet-Prompt {uuid4().hex[:8]}"
    slug = TenantSlug(f"quoted_{uuid4().hex[:8]}")
    server = await server_url()
    # A server of one's own may ask for a password.
    password = f"password '{server.password}'" if server.password else ""
    await execute(server, f'create role "{name}" login createrole {password}')
    await execute(server, f'grant fleetprompt_tenant to "{name}" with admin option')
    try:
        async with fresh_database() as url:
            await execute(
                url,
                f'grant create on database {make_url(url).database} to "{name}"; grant all on schema public to "{name}"',
            )
            await create_as(make_url(url).set(username=name), slug)
    finally:
        await execute(server.set(username=name), f"drop role if exists r_org_{slug}")
        await execute(server, f'drop role "{name}"')


async def create_as(url: URL, slug: TenantSlug) -> None:
    database = Database(url.render_as_string(hide_password=False))
    try:
        await migrate_public(database)
        await create_organization(database, slug)
        async with Tenancy(database).session(slug) as session:
            assert (await session.execute(text("select count(*) from signals"))).scalar_one() == 0
    finally:
        await database.close()
