"""The engine's own promises: what is cut, what is frozen, what is too old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fleetprompt.database import engine
from fleetprompt.database.engine import Database, is_away, parse_url
from fleetprompt.kernel.errors import InvalidInput, Unavailable
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.tenancy import Fence, Tenancy
from tests.house import ACME, House, fresh_house
from tests.jobs import add

SECRET = "hunter2"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


@pytest.mark.parametrize(
    "url", ["", "nonsense", f"mysql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@h:port/d"]
)
def test_a_url_that_cannot_be_used_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(InvalidInput, match="FLEETPROMPT_DATABASE_URL") as refused:
        parse_url(url)
    assert SECRET not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        with pytest.raises(Unavailable, match="Postgres does not answer"):
            await database.require_supported_version()
    finally:
        await database.close()


async def test_a_server_that_is_too_old_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await house.database.require_supported_version() >= engine.OLDEST_VERSION
    monkeypatch.setattr(engine, "OLDEST_VERSION", 10**7)
    with pytest.raises(InvalidInput, match="FleetPrompt needs 16 or newer"):
        await house.database.require_supported_version()


async def test_an_error_quotes_no_parameter(house: House) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with house.database.connection() as connection:
            await connection.execute(
                text("select 1 / cast(:zero as int), :secret"), {"zero": 0, "secret": SECRET}
            )
    assert SECRET not in str(failed.value)


async def test_a_transaction_that_somebody_froze_in_gives_its_locks_back(house: House) -> None:
    """A stopped process, or a cut cable: its job is locked by the open transaction, so no reaper could have it."""
    frozen = Database(house.url, idle_in_transaction_s=0.3)
    try:
        await add(house, NewJob("mark", {}))
        [job] = await claim.claim(house.database, "w", ["mark"], 1, lease_s=0.1)
        with pytest.raises(DBAPIError) as cut:
            await freeze_in(Tenancy(frozen), house, job.fence("w"))
        assert is_away(cut.value)
    finally:
        await frozen.close()


async def freeze_in(tenancy: Tenancy, house: House, fence: Fence) -> None:
    async with tenancy.session(ACME, fence=fence) as session:
        await asyncio.sleep(0.2)
        assert await claim.reap(house.database) == 0
        await asyncio.sleep(0.5)
        assert await claim.reap(house.database) == 1
        await session.execute(text("select 1"))
