"""Statements sent straight to the driver, and entities made of their rows: as if the session had done it itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from fleetprompt.database.driver import Sql
from fleetprompt.database.engine import is_away
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Agent
from fleetprompt.model.states import AgentState
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy.rows import Rows, get, insert, refresh
from tests.house import ACME, House, fresh_house

BY_NAME = Rows(Agent, "select {columns} from agents where name = :name")
NEW = {
    "name": "scribe",
    "purpose": "",
    "instructions": "",
    "tools": ["a", "b"],
    "limits": {"max_steps": 3},
    "policies": {},
    "state": "active",
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


def test_names_become_places_and_casts_stay() -> None:
    statement = Sql("select :b::text, cast(:a as int), ':x:', :b, a[1:2] from t where c = any(:a)")
    assert statement.names == ("b", "a")
    assert statement.text == "select $1::text, cast($2 as int), ':x:', $1, a[1:2] from t where c = any($2)"


async def test_an_inserted_row_is_the_sessions_own_and_its_changes_are_flushed(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        made = await insert(session, Agent, {"id": new_id(), **NEW})
        assert made is not None
        assert (made.limits, made.tools, made.model) == ({"max_steps": 3}, ["a", "b"], None)
        assert made.created_at is not None
        assert await session.scalar(select(Agent).where(Agent.id == made.id)) is made
        made.purpose = "writes"
        await session.flush()
        assert await BY_NAME.first(session, {"name": "scribe"}) is made
    [row] = await house.tenant_rows(ACME, "select purpose from agents")
    assert row["purpose"] == "writes"


async def test_what_is_read_again_takes_the_place_of_what_was_held(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        made = await insert(session, Agent, {"id": new_id(), **NEW})
        assert made is not None
        await session.execute(text("update agents set purpose = 'reads'"))
        assert await get(session, Agent, made.id) is made
        assert made.purpose == ""
        assert await BY_NAME.all(session, {"name": "scribe"}) == [made]
        assert made.purpose == "reads"
        assert not session.dirty
        assert await get(session, Agent, new_id()) is None


async def test_what_was_changed_and_not_written_gives_way_to_what_is_read(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        made = await insert(session, Agent, {"id": new_id(), **NEW})
        assert made is not None
        made.purpose, made.instructions = "forgets", "keeps"
        refresh(made, [("purpose", "")])
        assert (made.purpose, made.instructions) == ("", "keeps")
    [row] = await house.tenant_rows(ACME, "select purpose, instructions from agents")
    assert tuple(row) == ("", "keeps")


async def test_the_toolkit_changes_deletes_and_holds_what_was_read_beside_it(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        await insert(session, Agent, {"id": new_id(), **NEW})
    async with house.tenancy.session(ACME) as session:
        read = await BY_NAME.first(session, {"name": "scribe"})
        assert read is not None
        read.purpose = "writes"
        kept = read.id
        del read
        gc.collect()  # a change keeps its row alive until it is written
    async with house.tenancy.session(ACME) as session:
        read = await BY_NAME.first(session, {"name": "scribe"})
        assert read is not None
        assert (read.purpose, read in session) == ("writes", True)
        assert await session.get(Agent, kept) is read
        await session.refresh(read)
        await session.delete(read)
    assert await house.tenant_rows(ACME, "select 1 from agents") == []


async def test_a_repeated_insert_gives_nothing(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        row = {"id": new_id(), **NEW}
        assert await insert(session, Agent, row) is not None
        assert await insert(session, Agent, row, "on conflict do nothing") is None
        assert await session.scalar(select(func.count()).select_from(Agent)) == 1


async def test_a_move_takes_plain_values_the_databases_own_and_computed_ones(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        made = await insert(session, Agent, {"id": new_id(), **NEW})
        assert made is not None
        await move(session, made, AgentState.PAUSED, updated_at=func.now(), limits={"x": 1})
        assert (made.state, made.limits) == ("paused", {"x": 1})
        later = func.now() + func.make_interval(0, 0, 0, 1)
        await move(session, made, AgentState.ACTIVE, updated_at=later, limits={"x": None})
        assert (made.state, made.limits) == ("active", {"x": None})
        assert (made.updated_at - made.created_at).days == 1


async def test_its_errors_are_the_toolkits_and_quote_no_value(house: House) -> None:
    with pytest.raises(DBAPIError) as failed:
        await _ask(house, Sql("select * from nowhere where a = :a"), a="secret")
    assert "secret" not in str(failed.value)
    assert not is_away(failed.value)
    row = {"id": new_id(), **NEW}
    with pytest.raises(IntegrityError):
        await _twice(house, row)
    assert await house.tenant_rows(ACME, "select 1 from agents") == []


async def test_a_statement_whose_server_process_ended_says_that_postgres_is_away(house: House) -> None:
    with pytest.raises(DBAPIError) as failed:
        await _cut(house)
    assert is_away(failed.value)
    async with house.tenancy.session(ACME) as session:
        assert [tuple(row) for row in await session.fetch(Sql("select 1"), {})] == [(1,)]


async def test_one_canceled_in_the_middle_leaves_nothing_behind(house: House) -> None:
    async def late() -> None:
        async with house.tenancy.session(ACME) as session:
            await insert(session, Agent, {"id": new_id(), **NEW})
            await session.fetch(Sql("select pg_sleep(30)"), {})

    task = asyncio.create_task(late())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await house.tenant_rows(ACME, "select 1 from agents") == []
    async with house.tenancy.session(ACME) as session:
        assert await insert(session, Agent, {"id": new_id(), **NEW}) is not None


async def _ask(house: House, statement: Sql, **values: Any) -> None:
    async with house.tenancy.session(ACME) as session:
        await session.fetch(statement, values)


async def _twice(house: House, row: dict[str, Any]) -> None:
    async with house.tenancy.session(ACME) as session:
        await insert(session, Agent, row)
        await insert(session, Agent, row)


async def _cut(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        [(own,)] = await session.fetch(Sql("select pg_backend_pid()"), {})
        await house.value("select pg_terminate_backend($1)", own)
        await session.fetch(Sql("select 1"), {})
