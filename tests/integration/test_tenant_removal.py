"""Removing an organization: whole, at once for its workers, and finished however often it is killed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from fleetprompt.database.tables import tables_of
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import fault_point
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.tenancy import Fenced, removal
from fleetprompt.tenancy.organizations import create_organization
from fleetprompt.tenancy.orphans import Kind, find_orphans
from fleetprompt.tenancy.removal import delete_organization
from tests import killing, serving, tenant_programs
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import MARKS, add
from tests.killing import dies
from tests.town import town

LONE = TenantSlug(f"lone_{uuid4().hex}")
"""Roles belong to the whole server, so what is done to this one's is nobody else's trouble."""
POINTS = (
    fault_point("organization", "active", "deleting"),
    fault_point("organization", "active", "deleting", committed=True),
    "organization.quiet",
    "organization.schema_dropped",
    "organization.removed",
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        for slug in (LONE, GLOBEX):
            await _furnish(made, slug)
        yield made


async def _furnish(house: House, slug: TenantSlug) -> None:
    """Something of a tenant in every place where there can be something."""
    await create_organization(house.database, slug)
    await house.tenant_rows(slug, MARKS)
    await add(house, NewJob("mark", {"note": "waits"}), tenant=slug)
    await house.rows(
        "insert into public.connections (installation_id, tenant, connector, account_key, enabled, generation)"
        " values (gen_random_uuid(), $1, 'mattermost', $1, true, 1)",
        slug,
    )
    await house.rows(
        "insert into public.schedule (name, tenant, kind, cron, next_at) values ('daily', $1, 'mark', '', now())",
        slug,
    )
    await house.rows(
        "with person as (insert into public.users (id, email, name) values (gen_random_uuid(), $1, $1) returning id)"
        " insert into public.memberships (user_id, organization_id, role)"
        " select person.id, o.id, 'owner' from person, public.organizations o where o.slug = $1",
        slug,
    )


async def left_of(house: House, slug: TenantSlug, organization_id: str) -> list[str]:
    """Where anything still names the tenant: tables of the registry, schema, role. Its people stay."""
    connection = await house.database.connect_raw()
    try:
        left = [
            table.name
            for table in await tables_of(connection, "public")
            if table.name != "users"
            and await connection.fetchval(
                f"select exists (select from {table.sql} t where t::text like '%' || $1 || '%' or t::text like '%' || $2 || '%')",
                slug,
                organization_id,
            )
        ]
        if await connection.fetchval("select to_regnamespace('org_' || $1) is not null", slug):
            left.append("schema")
        if await connection.fetchval(
            "select exists (select from pg_roles where rolname = 'r_org_' || $1)", slug
        ):
            left.append("role")
        return left
    finally:
        await connection.close()


async def _id(house: House, slug: TenantSlug) -> str:
    return str(await house.value("select id from public.organizations where slug = $1", slug))


async def test_nothing_of_it_is_left_and_nothing_of_another_is_gone(house: House) -> None:
    lone, globex = await _id(house, LONE), await _id(house, GLOBEX)
    everywhere = ["connections", "job", "memberships", "organizations", "role", "schedule", "schema"]
    assert sorted(await left_of(house, LONE, lone)) == everywhere
    assert await delete_organization(house.database, LONE)
    assert await left_of(house, LONE, lone) == []
    assert sorted(await left_of(house, GLOBEX, globex)) == everywhere
    assert await find_orphans(house.database) == []


@pytest.mark.parametrize("point", POINTS)
async def test_killed_anywhere_it_is_finished_by_the_same_command(house: House, point: str) -> None:
    organization_id = await _id(house, LONE)
    await dies(tenant_programs.delete, house.url, LONE, fault=point)
    if point in POINTS[1:4]:
        [finding] = await find_orphans(house.database)
        assert (finding.kind, finding.slug, finding.is_mendable) == (Kind.DELETING, LONE, False)
        assert f"org delete {LONE} --confirm {LONE}" in finding.remedy
        assert await claim.claim(house.database, "w", ["mark"], 9, 30.0)  # of globex
        assert await claim.claim(house.database, "w", ["mark"], 9, 30.0) == []
    if point == "organization.removed":
        with pytest.raises(NotFound):
            await delete_organization(house.database, LONE)
    else:
        await delete_organization(house.database, LONE)
    assert await left_of(house, LONE, organization_id) == []


async def test_what_runs_can_write_no_more(house: House) -> None:
    jobs = await claim.claim(house.database, "w", ["mark"], 9, 30.0)
    [mine] = [job for job in jobs if job.tenant == LONE]
    await dies(tenant_programs.delete, house.url, LONE, fault="organization.quiet")
    with pytest.raises(Fenced):
        async with house.tenancy.session(LONE, fence=mine.fence("w")):
            pass
    await delete_organization(house.database, LONE)
    with pytest.raises(NotFound):
        async with house.tenancy.session(LONE):
            pass


async def test_it_waits_until_no_listener_holds_a_connection(house: House) -> None:
    held = "update public.connections set holder = 'l', lease_until = now() + interval '1 hour' where tenant = $1"
    await house.rows(held, LONE)
    going = asyncio.create_task(delete_organization(house.database, LONE))
    await asyncio.sleep(0.5)
    assert not going.done()
    assert await house.value("select not enabled from public.connections where tenant = $1", LONE)
    await house.rows("update public.connections set lease_until = now() where tenant = $1", LONE)
    await asyncio.wait_for(going, 20)


async def test_an_open_transaction_is_waited_for_and_its_jobs_go_too(house: House) -> None:
    organization_id = await _id(house, LONE)
    async with house.tenancy.session(LONE) as session:
        await session.execute(text("insert into marks (note) values ('late')"))
        going = asyncio.create_task(delete_organization(house.database, LONE))
        await asyncio.sleep(0.5)
        await session.execute(
            text(
                "insert into public.job (id, tenant, kind, args) values (gen_random_uuid(), :slug, 'mark', '{}')"
            ),
            {"slug": LONE},
        )
    await asyncio.wait_for(going, 30)
    assert await left_of(house, LONE, organization_id) == []


async def test_a_transaction_that_never_ends_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "LOCK_WAIT_S", 1)
    monkeypatch.setattr(removal, "LOCK_TRIES", 1)
    async with house.tenancy.session(LONE) as session:
        await session.execute(text("insert into marks (note) values ('open')"))
        with pytest.raises(Conflict, match="does not end"):
            await delete_organization(house.database, LONE)
    assert await delete_organization(house.database, LONE)


async def test_the_command_asks_for_the_name_twice(house: House) -> None:
    run = CommandLine.on(house.url)
    wrong = await run("org", "delete", LONE, "--confirm", "another")
    assert (wrong.code, is_one_line(wrong.err)) == (1, True)
    assert "Nothing was removed" in wrong.err
    assert "is gone" in (await run.ok("org", "delete", LONE, "--confirm", LONE)).out
    assert [row["slug"] for row in (await run.ok("org", "list", "--json")).rows] == ["acme", "globex"]


@pytest.mark.slow
async def test_it_is_removed_under_a_running_service_that_goes_on_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def keep(*_: object) -> bool:
        return False  # acme's role is that of many tests at this moment

    monkeypatch.setattr(removal, "_drop_role", keep)
    async with town() as play:
        organization_id = await _id(play.house, ACME)
        with killing.running(serving.serve, play.house.url, play.desk.url) as service:
            await play.answered(play.ask("@fleet help"))
            for number in range(5):
                play.ask(f"@fleet help {number}")  # under way, or not even stored yet
            await asyncio.wait_for(delete_organization(play.house.database, ACME), 30)
            assert await left_of(play.house, ACME, organization_id) in ([], ["role"])
            unheard = play.ask("@fleet help nobody")
            await add(play.house, NewJob("records.retention", {}), tenant=GLOBEX)
            async with asyncio.timeout(20):
                while await play.house.value(
                    "select count(*) from public.job where kind = 'records.retention'"
                ):
                    await asyncio.sleep(0.05)
            assert service.is_alive()
            assert play.answers(unheard) == []
        assert await play.house.value("select count(*) from public.job where tenant = 'acme'") == 0
