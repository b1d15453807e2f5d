"""Bringing the registry and every tenant to the head."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from fleetprompt.database import scripts
from fleetprompt.database.migrate import migrate_public
from fleetprompt.database.quiet import lock_tables, patiently
from fleetprompt.kernel.errors import Conflict, Unavailable
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.migrations import Migrated, migrate_tenants
from fleetprompt.tenancy.organizations import advance_schema, find_organization
from tests import programs
from tests.house import ACME, GLOBEX, House, bare_house
from tests.killing import dies

HEAD = scripts.head("tenant")
SLUGS = [TenantSlug(f"t{number}") for number in range(6)]


async def fall_behind(house: House) -> None:
    """Six tenants with a row and no schema, as an interrupted restore would leave them."""
    for slug in SLUGS:
        await house.rows(
            "insert into public.organizations (id, slug, name, limits, state)"
            " values (gen_random_uuid(), $1, $1, '{}', 'creating')",
            slug,
        )


async def at_the_head(house: House) -> int:
    """How many tenants are, by their rows and by their schemas alike."""
    found = 0
    for slug in SLUGS:
        organization = await find_organization(house.database, slug)
        stands = await house.value(
            "select count(*) = 1 from pg_tables where schemaname = 'org_' || $1 and tablename = 'agents'",
            slug,
        )
        assert stands == (organization.state == "active" and organization.schema_revision == HEAD)
        found += stands
    return found


async def test_the_registry_is_migrated_once_by_many_at_once() -> None:
    async with bare_house() as house:
        assert (
            await asyncio.gather(*[migrate_public(house.database) for _ in range(4)])
            == [scripts.head("public")] * 4
        )
        assert await house.value("select count(*) from public.alembic_version") == 1


async def test_a_registry_newer_than_the_program_is_refused_and_left_alone() -> None:
    async with bare_house() as house:
        await house.rows("update public.alembic_version set version_num = 'public_9999'")
        with pytest.raises(Conflict, match=r"newer than this program\. Upgrade FleetPrompt"):
            await migrate_public(house.database)
        assert await house.value("select version_num from public.alembic_version") == "public_9999"


async def test_tenants_at_the_head_are_skipped(house: House) -> None:
    assert await migrate_tenants(house.database) == []


async def test_all_tenants_that_are_behind_come_to_the_head_and_a_second_run_finds_nothing(
    house: House,
) -> None:
    await fall_behind(house)
    seen: list[Migrated] = []
    outcomes = await migrate_tenants(house.database, progress=seen.append)
    assert outcomes == [Migrated(slug, None) for slug in SLUGS]
    assert sorted(outcome.slug for outcome in seen) == SLUGS
    assert await at_the_head(house) == len(SLUGS)
    assert await migrate_tenants(house.database) == []


async def test_two_runs_at_once_do_no_harm(house: House) -> None:
    await fall_behind(house)
    outcomes = await asyncio.gather(migrate_tenants(house.database), migrate_tenants(house.database))
    assert {outcome.error for run in outcomes for outcome in run} == {None}
    assert await at_the_head(house) == len(SLUGS)


async def test_a_run_that_was_killed_is_finished_by_the_next(house: House) -> None:
    await fall_behind(house)
    await dies(programs.migrate, house.url, fault="migration.tenant_migrated:3")
    done = await at_the_head(house)
    assert 3 <= done < len(SLUGS)
    await migrate_tenants(house.database)
    assert await at_the_head(house) == len(SLUGS)


async def test_one_failing_tenant_stops_no_other_and_says_why(house: House) -> None:
    await fall_behind(house)
    # Something stands where a table shall be: the third tenant's schema, made by hand.
    await house.rows("create schema org_t2 authorization r_org_acme")
    outcomes = {outcome.slug: outcome.error for outcome in await migrate_tenants(house.database)}
    error = outcomes.pop(SLUGS[2])
    assert error is not None
    assert "permission denied" in error
    assert set(outcomes.values()) == {None}
    row = await find_organization(house.database, SLUGS[2])
    assert (row.state, row.schema_revision, row.schema_error) == ("failed", None, error)
    assert row.schema_attempted_at is not None

    await house.tenant_rows(ACME, "drop schema org_t2")
    assert await migrate_tenants(house.database) == [Migrated(SLUGS[2], None)]
    assert await at_the_head(house) == len(SLUGS)
    assert (await find_organization(house.database, SLUGS[2])).schema_error is None


async def test_a_tenants_schema_newer_than_the_program_is_refused_and_left_alone(house: House) -> None:
    await ahead(house, GLOBEX, "tenant_9999")
    [outcome] = await migrate_tenants(house.database)
    assert outcome.slug == GLOBEX
    assert outcome.error is not None
    assert "newer than this program" in outcome.error
    row = await find_organization(house.database, GLOBEX)
    assert (row.state, row.schema_revision) == ("active", "tenant_9999")
    assert await house.tenant_rows(GLOBEX, "select version_num from alembic_version") == [("tenant_9999",)]


async def test_an_older_program_leaves_no_complaint_on_what_a_newer_one_migrated(house: House) -> None:
    await ahead(house, GLOBEX, "tenant_9999")
    await house.rows("update public.organizations set schema_revision = null where slug = 'acme'")
    assert [(one.slug, one.error is None, one.is_newer) for one in await migrate_tenants(house.database)] == [
        (ACME, True, False),
        (GLOBEX, False, True),
    ]
    assert (await find_organization(house.database, GLOBEX)).schema_error is None
    await ahead(house, GLOBEX, HEAD)
    assert await migrate_tenants(house.database) == []


async def test_a_schema_that_became_newer_meanwhile_is_left_alone_too(house: House) -> None:
    """The row is what an old process read before the new program's transaction ended."""
    await house.tenant_rows(GLOBEX, "update alembic_version set version_num = 'tenant_9999'")
    await house.rows("update public.organizations set schema_revision = null where slug = 'globex'")
    [outcome] = await migrate_tenants(house.database)
    assert outcome.is_newer
    assert (await find_organization(house.database, GLOBEX)).schema_error is None


async def test_a_table_in_use_is_waited_for_in_short_turns_and_the_migration_is_done_once_it_is_free() -> (
    None
):
    async with bare_house() as house:
        await fall_behind_in_public(house)
        connection = await house.database.connect_raw()
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetch("select from public.worker")
            migrating = asyncio.create_task(migrate_public(house.database))
            async with asyncio.timeout(
                10
            ):  # who wants the table meanwhile gets it, while the first still holds it
                await until_waited_for(house)
                await house.rows("select from public.worker")
            assert not migrating.done()
            await transaction.rollback()
        finally:
            await connection.close()
        assert await migrating == scripts.head("public")


async def test_a_table_that_stays_in_use_ends_the_migration_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleetprompt.database.quiet.PATIENCE_S", 0.5)
    async with bare_house() as house:
        await fall_behind_in_public(house)
        connection = await house.database.connect_raw()
        try:
            async with connection.transaction():
                await connection.fetch("select from public.worker")
                with pytest.raises(Unavailable, match=r"long transaction.*pg_stat_activity"):
                    await migrate_public(house.database)
        finally:
            await connection.close()
        assert await house.value("select version_num from public.alembic_version") == "public_0010"
        assert await migrate_public(house.database) == scripts.head("public")


async def test_work_that_holds_what_a_migration_waits_for_is_not_ended_as_a_deadlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleetprompt.database.quiet.random.shuffle", lambda tables: tables.sort())
    async with bare_house() as house:
        work, other, third = [await house.database.connect_raw() for _ in range(3)]

        async def migrate() -> None:
            async with other.transaction():
                await lock_tables(other, "public", "job, organizations, worker")

        try:
            between = third.transaction()
            await between.start()
            await third.fetch("select from public.organizations")
            async with work.transaction():
                await work.fetch("select from public.worker")
                migrating = asyncio.create_task(patiently(migrate, "The registry"))
                await until_waited_for(house, "organizations")  # it holds `job`
                working = asyncio.create_task(work.fetch("select from public.job"))
                while not (working.done() or await house.value(WAITING, "job")):
                    await asyncio.sleep(0.02)  # on a slow machine the migration may have given up before
                await (
                    between.rollback()
                )  # it gets `organizations`, and waits for `worker`, after the work began to wait
                await working
            await asyncio.wait_for(migrating, 10)
        finally:
            await asyncio.gather(work.close(), other.close(), third.close())


async def fall_behind_in_public(house: House) -> None:
    """As before the last migration of `worker`."""
    await house.rows("alter table public.worker drop column machine, drop column born")
    await house.rows("update public.alembic_version set version_num = 'public_0010'")


WAITING = (
    "select count(*) from pg_locks where not granted and relation = to_regclass('public.' || $1)"
    " and database = (select oid from pg_database where datname = current_database())"
)


async def until_waited_for(house: House, table: str = "worker") -> None:
    """Until somebody stands in line for the table."""
    async with asyncio.timeout(60):
        while not await house.value(WAITING, table):
            await asyncio.sleep(0.02)


async def test_a_suspended_tenant_is_migrated_and_stays_suspended(house: House) -> None:
    await house.rows(
        "update public.organizations set state = 'suspended', schema_revision = null where slug = 'acme'"
    )
    assert await migrate_tenants(house.database) == [Migrated(ACME, None)]
    row = await find_organization(house.database, ACME)
    assert (row.state, row.schema_revision) == ("suspended", HEAD)


@pytest.mark.parametrize(
    "fault", [asyncpg.InterfaceError("connection is closed"), OSError("no route"), TimeoutError()]
)
async def test_a_connection_lost_under_one_tenant_is_that_tenants_failure(
    house: House, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    await fall_behind(house)
    real = advance_schema

    async def lose(database: object, slug: TenantSlug) -> bool:
        if slug == SLUGS[0]:
            raise fault
        return await real(house.database, slug)

    monkeypatch.setattr("fleetprompt.tenancy.migrations.advance_schema", lose)
    outcomes = {outcome.slug: outcome.error for outcome in await migrate_tenants(house.database)}
    assert outcomes.pop(SLUGS[0])
    assert set(outcomes.values()) == {None}


async def ahead(house: House, slug: TenantSlug, revision: str) -> None:
    """As if another version of the program had migrated the tenant."""
    await house.tenant_rows(slug, "update alembic_version set version_num = $1", revision)
    await house.rows("update public.organizations set schema_revision = $1 where slug = $2", revision, slug)
