"""What one tenant's session can reach: its own, and nothing else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Agent, TenantBase
from fleetprompt.tenancy import TenantSession
from tests.house import ACME, GLOBEX, House, bare_house, fresh_house

TABLES = sorted(TenantBase.metadata.tables)
ADD_JOB = "insert into public.job (id, tenant, kind, args) values (gen_random_uuid(), $1, 'x', '{}') on conflict do nothing"


async def denied(house: House, tenant: TenantSlug, sql: str, *arguments: object) -> bool:
    """Whether Postgres refuses the tenant this for want of rights."""
    try:
        await house.tenant_rows(tenant, sql, *arguments)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_each_table_is_closed_to_the_other_tenant(house: House) -> None:
    for table in TABLES:
        assert await house.tenant_rows(ACME, f'select * from org_acme."{table}"') == []
        assert await denied(house, GLOBEX, f'select * from org_acme."{table}"'), table
        assert await denied(house, GLOBEX, f'delete from org_acme."{table}"'), table


async def test_each_table_is_closed_to_the_service_without_the_tenants_role(house: House) -> None:
    for table in TABLES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await house.rows(f'select * from org_acme."{table}"')


async def test_the_registry_is_closed_to_tenants(house: House) -> None:
    tables = await house.rows("select tablename from pg_tables where schemaname = 'public'")
    names = {row[0] for row in tables} - {"legal_move"}
    assert {"job", "organizations", "connections", "users", "schedule", "worker", "memberships"} <= names
    for name in names:
        assert await denied(house, ACME, f'select * from public."{name}"'), name
        assert await denied(house, ACME, f'delete from public."{name}"'), name
    assert await denied(house, ACME, "update public.legal_move set target = source")
    assert await denied(house, ACME, "create table public.mark ()")


async def test_a_tenant_adds_jobs_for_itself_alone(house: House) -> None:
    await house.tenant_rows(ACME, ADD_JOB, "acme")
    assert await denied(house, ACME, ADD_JOB, "globex")
    assert [row["tenant"] for row in await house.rows("select tenant from public.job")] == ["acme"]


async def test_a_tenant_can_take_on_no_other_role(house: House) -> None:
    """`set role` asks the session's own rights, so this proves the grants of the tenants' roles."""
    members = await house.rows(
        "select member::regrole::text, roleid::regrole::text from pg_auth_members"
        " where member in ('r_org_acme'::regrole, 'r_org_globex'::regrole, 'fleetprompt_tenant'::regrole)"
    )
    assert {tuple(row) for row in members} == {
        ("r_org_acme", "fleetprompt_tenant"),
        ("r_org_globex", "fleetprompt_tenant"),
    }
    rights = "select rolsuper or rolcreaterole or rolcreatedb or rolcanlogin or rolbypassrls from pg_roles where rolname like $1"
    assert not any(row[0] for row in await house.rows(rights, "r\\_org\\_%"))


async def test_a_session_is_told_from_whom_it_is(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        row = (await session.execute(text("select current_user, current_schema()"))).one()
    assert tuple(row) == ("r_org_acme", "org_acme")


async def test_an_unknown_tenant_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="There is no organization 'nobody'"):
        async with house.tenancy.session(TenantSlug("nobody")):
            pass


async def test_a_tenant_of_another_database_of_the_server_is_not_found(house: House) -> None:
    """Roles belong to the whole server, so that the role exists says nothing about this database."""
    assert await house.value("select count(*) from pg_roles where rolname = 'r_org_acme'") == 1
    async with bare_house() as other:
        with pytest.raises(NotFound, match="There is no organization 'acme'"):
            async with other.tenancy.session(ACME):
                pass


async def test_one_connection_serves_two_tenants_in_turn_and_leaks_nothing() -> None:
    async with fresh_house(pool_size=1) as house:
        for round_number in range(6):
            tenant = (ACME, GLOBEX)[round_number % 2]
            async with house.tenancy.session(tenant) as session:
                session.add(an_agent(f"{tenant}-{round_number}"))
            async with house.database.connection() as connection:
                row = (
                    await connection.execute(text("select current_user = session_user, current_schema()"))
                ).one()
            assert tuple(row) == (True, "public")
        assert house.database.engine.pool.checkedin() == 1  # type: ignore[attr-defined]
        assert await names(house, ACME) == ["acme-0", "acme-2", "acme-4"]
        assert await names(house, GLOBEX) == ["globex-1", "globex-3", "globex-5"]


async def test_a_transaction_that_failed_leaves_no_role_behind() -> None:
    async with fresh_house(pool_size=1) as house:
        with pytest.raises(DBAPIError):
            async with house.tenancy.session(ACME) as session:
                await session.execute(text("select 1/0"))
        async with house.database.connection() as connection:
            assert (await connection.execute(text("select current_user = session_user"))).scalar_one()


async def test_a_cached_statement_reads_the_tables_of_whoever_asks() -> None:
    async with fresh_house(pool_size=1) as house:
        async with house.tenancy.session(ACME) as session:
            session.add(an_agent("only in acme"))
        for _ in range(8):  # Postgres turns to a generic plan at the sixth
            assert await names(house, ACME) == ["only in acme"]
            assert await names(house, GLOBEX) == []


async def test_a_cached_statement_outlives_a_change_of_one_tenants_table() -> None:
    async with fresh_house(pool_size=1) as house:
        for _ in range(8):
            assert await names(house, ACME) == await names(house, GLOBEX) == []
        await house.tenant_rows(ACME, "alter table agents add column added int")
        assert await names(house, ACME) == await names(house, GLOBEX) == []


async def test_many_sessions_at_once_keep_apart(house: House) -> None:
    async def add(number: int) -> None:
        tenant = (ACME, GLOBEX)[number % 2]
        async with house.tenancy.session(tenant) as session:
            session.add(an_agent(f"{tenant}-{number}"))
            await session.flush()
            await asyncio.sleep(0)

    await asyncio.gather(*[add(number) for number in range(60)])
    for tenant in (ACME, GLOBEX):
        found = await names(house, tenant)
        assert len(found) == 30
        assert all(name.startswith(f"{tenant}-") for name in found)


async def names(house: House, tenant: TenantSlug) -> list[str]:
    async with house.tenancy.session(tenant) as session:
        return await _names(session)


async def _names(session: TenantSession) -> list[str]:
    agents = await session.scalars(
        Agent.__table__.select().with_only_columns(Agent.name).order_by(Agent.name)
    )
    return list(agents)


def an_agent(name: str) -> Agent:
    return Agent(
        id=new_id(), name=name, purpose="", instructions="", tools=[], limits={}, policies={}, state="active"
    )
