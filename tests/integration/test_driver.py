"""A connection spoken to directly: what goes wrong in the middle reaches nobody who has it next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from fleetprompt.database import driver
from fleetprompt.database.driver import Prepared, Sql, literal
from fleetprompt.database.engine import is_away
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Agent
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import insert
from tests.house import ACME, GLOBEX, House, fresh_house

WHERE = Sql("select current_user::text, current_setting('search_path'), pg_backend_pid()")
AGENT = {
    "name": "scribe",
    "purpose": "",
    "instructions": "",
    "tools": [],
    "limits": {},
    "policies": {},
    "state": "active",
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """With one connection for all, so that each finds what the last one left."""
    async with fresh_house(pool_size=1) as made:
        made.database.engine.pool._max_overflow = 0  # type: ignore[attr-defined]
        yield made


@asynccontextmanager
async def acme(house: House) -> AsyncIterator[TenantSession]:
    """A transaction of acme that has made an agent."""
    async with house.tenancy.session(ACME) as session:
        await new_agent(session)
        yield session


async def new_agent(session: TenantSession) -> None:
    assert await insert(session, Agent, {"id": new_id(), **AGENT}) is not None


async def nobodys(house: House) -> bool:
    """Whether the pooled connection is in no transaction and in no tenant's place."""
    async with house.database.lend() as driver:
        [(user, path, _)] = await driver.fetch(WHERE, {})
        return not user.startswith("r_org_") and "org_" not in path


@pytest.mark.parametrize("value", ["", "it's", "\\", "\\'; drop table x; --", "$1 :a {}", "é\n\t", None, -7])
async def test_a_literal_is_what_it_was(house: House, value: str | int | None) -> None:
    kind = "bigint" if isinstance(value, int) else "text"
    assert await house.value(f"select cast({literal(value)} as {kind})") == value


def test_a_literal_holds_no_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")


async def test_two_tenants_on_one_connection_read_their_own_rows_with_one_statement(house: House) -> None:
    count, seen = Sql("select count(*), pg_backend_pid() from agents"), set()
    async with house.tenancy.session(ACME) as session:
        await new_agent(session)
    for tenant, expected in [(ACME, 1), (GLOBEX, 0)] * 4:
        async with house.tenancy.session(tenant) as session:
            [(found, backend)] = await session.fetch(count, {})
            assert found == expected
            seen.add(backend)
    assert len(seen) == 1


async def slow_statement(session: TenantSession) -> None:
    await session.fetch(Sql("select pg_sleep(30)"), {})


async def slow_statement_of_the_toolkit(session: TenantSession) -> None:
    await session.execute(text("select pg_sleep(30)"))


async def slow_work(session: TenantSession) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize("slowly", [slow_statement, slow_statement_of_the_toolkit, slow_work])
async def test_a_canceled_transaction_leaves_nothing_behind(
    house: House, slowly: Callable[[TenantSession], Awaitable[None]]
) -> None:
    entered = asyncio.Event()

    async def act() -> None:
        async with house.tenancy.session(ACME) as session:
            await new_agent(session)
            entered.set()
            await slowly(session)

    task = asyncio.create_task(act())
    await entered.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nobodys(house)
    assert await house.tenant_rows(ACME, "select 1 from agents") == []


async def test_a_transaction_that_nobody_ends_comes_back_to_nobody(house: House) -> None:
    async with house.database.lend() as driver:
        await driver.begin()
        await driver.fetch(Sql("select set_config('role', 'r_org_acme', true)"), {})
        [(user, _, backend)] = await driver.fetch(WHERE, {})
        assert user == "r_org_acme"
    async with house.database.lend() as driver:
        [(user, _, other)] = await driver.fetch(WHERE, {})
    assert other != backend
    assert user != "r_org_acme"


async def test_a_connection_that_is_cut_in_a_transaction_is_replaced(house: House) -> None:
    async def act() -> None:
        async with acme(house) as session:
            [(_, _, backend)] = await session.fetch(WHERE, {})
            await house.rows("select pg_terminate_backend($1)", backend)
            await session.fetch(WHERE, {})

    with pytest.raises(DBAPIError) as caught:
        await act()
    assert is_away(caught.value)
    assert caught.value.connection_invalidated
    assert await nobodys(house)


async def test_what_failed_and_was_caught_is_not_taken_for_stored(house: House) -> None:
    async def act() -> None:
        async with acme(house) as session:
            with pytest.raises(DBAPIError):
                await session.fetch(Sql("select 1 / 0"), {})

    with pytest.raises(DBAPIError) as caught:
        await act()
    assert isinstance(caught.value.orig.__cause__, asyncpg.InFailedSQLTransactionError)  # type: ignore[union-attr]
    assert await nobodys(house)
    assert await house.tenant_rows(ACME, "select 1 from agents") == []


async def test_what_goes_with_the_commit_goes_with_it_or_nothing_does(house: House) -> None:
    again = (
        "insert into agents (id, name, purpose, instructions, tools, limits, policies, state)"
        f" values ({literal(new_id())}, 'scribe', '', '', '{{}}', '{{}}', '{{}}', 'active')"
    )

    async def act() -> None:
        async with acme(house) as session:
            session.last.append(again)

    with pytest.raises(IntegrityError) as caught:
        await act()
    assert "scribe" not in str(caught.value)
    assert await nobodys(house)
    assert await house.tenant_rows(ACME, "select 1 from agents") == []
    async with house.tenancy.session(ACME) as session:
        session.last.append(again)
    assert len(await house.tenant_rows(ACME, "select 1 from agents")) == 1


async def test_the_toolkit_writes_in_the_same_transaction(house: House) -> None:
    async def act() -> None:
        async with house.tenancy.session(ACME) as session:
            session.add(Agent(id=new_id(), **AGENT))
            await session.flush()
            [(found,)] = await session.fetch(Sql("select count(*) from agents"), {})
            assert found == 1
            await session.execute(text("update agents set purpose = 'writes'"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await act()
    assert await house.tenant_rows(ACME, "select 1 from agents") == []
    async with house.tenancy.session(ACME) as session:
        session.add(Agent(id=new_id(), **AGENT))  # nobody flushes: the commit does
    assert len(await house.tenant_rows(ACME, "select 1 from agents")) == 1


async def test_a_statement_outlives_a_migration_of_what_it_reads(house: House) -> None:
    """In a transaction the first after it fails, for its job to be tried again; outside it goes on at once."""
    await house.rows("create table public.thing as select 1 as a")
    await house.rows("grant select on public.thing to r_org_acme")
    read = Sql("select * from public.thing")

    async def act() -> None:
        async with house.tenancy.session(ACME) as session:
            await session.fetch(read, {})

    for change in ("alter column a type text", "add column b int"):
        await act()
        await house.rows(f"alter table public.thing {change}")
        with pytest.raises(DBAPIError):
            await act()
        async with house.tenancy.session(ACME) as session:
            assert dict((await session.fetch(read, {}))[0])["a"] == "1"
    async with house.database.lend() as driver:
        await driver.fetch(read, {})
        await house.rows("alter table public.thing add column c int")
        assert len((await driver.fetch(read, {}))[0]) == 3


async def test_what_was_prepared_in_part_is_not_used_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an operator cancels the statement: half of them are there, and cannot be made once more."""
    known: list[Prepared] = []
    monkeypatch.setattr(driver, "_PREPARED", known)
    Prepared("reviewed_good", "uuid", "select $1")
    bad = Prepared("reviewed_bad", "uuid", "select $1 from public.nowhere")
    with pytest.raises(DBAPIError):
        async with house.tenancy.session(ACME):
            pass
    known.remove(bad)
    async with house.tenancy.session(ACME) as session:
        assert len(await session.fetch(WHERE, {})) == 1
