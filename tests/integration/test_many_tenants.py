"""Many tenants on few connections: what a backend remembers of them is bounded, and so is what it prepared."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from bench import tenants as bench
from fleetprompt.database import engine
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.organizations import create_organization
from tests.command_line import CommandLine
from tests.house import House, bare_house

SLUGS = [TenantSlug(f"many_{number}") for number in range(6)]
PREPARED = (
    "select count(*) from pg_prepared_statements where not from_sql"  # those are few, and always the same
)
MOST_PREPARED = 150  # SQLAlchemy caches 100 for each connection, and half as many again before it tidies up
SOME = 2 * MOST_PREPARED


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with bare_house(pool_size=1) as made:
        for slug in SLUGS:
            await create_organization(made.database, slug)
        await made.database.engine.dispose()
        yield made


async def backend(house: House, slug: TenantSlug) -> int:
    """Which of the server's processes serves this tenant now."""
    async with house.tenancy.session(slug) as session:
        await session.execute(text("select * from signals limit 1"))
        return int((await session.execute(text("select pg_backend_pid()"))).scalar_one())


async def test_a_connection_that_served_many_tenants_is_replaced(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_SERVED", 2)
    pids = [await backend(house, slug) for slug in SLUGS]
    assert pids[0] == pids[1] == pids[2] != pids[3]
    assert pids[3] == pids[4] == pids[5]


async def test_a_connection_that_serves_few_tenants_is_kept(house: House) -> None:
    assert len({await backend(house, slug) for slug in SLUGS * 5}) == 1


async def test_what_a_connection_has_prepared_is_bounded(house: House) -> None:
    for number in range(SOME):
        async with house.tenancy.session(SLUGS[number % len(SLUGS)]) as session:
            await session.execute(text(f"select {number} from signals"))
    async with house.database.connection() as connection:
        assert int((await connection.execute(text(PREPARED))).scalar_one()) <= MOST_PREPARED


async def test_one_prepared_statement_sees_each_tenants_own_table(house: House) -> None:
    for slug in SLUGS[:3]:
        await house.tenant_rows(slug, f"create table own as select '{slug}' as who, 1 as n")
    seen = []
    for slug in SLUGS[:3] * 8:  # beyond the five runs after which Postgres may keep a plan
        async with house.tenancy.session(slug) as session:
            seen.append(
                (await session.execute(text("select who from own where n = :n"), {"n": 1})).scalar_one()
            )
    assert seen == [str(slug) for slug in SLUGS[:3] * 8]


async def test_the_bench_makes_and_migrates_them_and_so_does_the_command(house: House) -> None:
    created, migrated = await bench.measure(house, tenants=8)
    assert created.value > 0
    assert migrated.value > 0
    indexed = "select count(*) from pg_indexes where indexname = 'signals_bench'"
    assert await house.value(indexed) == 8 + len(SLUGS)
    said = await CommandLine.on(house.url)("migrate")
    assert said.code == 1  # they are ahead of this program, each for itself
    assert "14/14 " in said.out
    assert "14 of 14 organizations failed" in said.out
