"""The databases that tests get."""

from __future__ import annotations

import asyncpg
from sqlalchemy import make_url

from tests.database import asyncpg_arguments, execute, fresh_database, server_url


async def test_each_test_gets_an_empty_database_of_its_own() -> None:
    async with fresh_database() as one, fresh_database() as other:
        await execute(one, "create table mark (id int)")
        connection = await asyncpg.connect(**asyncpg_arguments(make_url(other)))
        try:
            assert await connection.fetchval("select to_regclass('mark')") is None
            assert await connection.fetchval(
                "select current_user = datdba::regrole::text from pg_database where datname = current_database()"
            )
        finally:
            await connection.close()


async def test_a_database_is_dropped_under_a_forgotten_connection() -> None:
    async with fresh_database() as url:
        forgotten = await asyncpg.connect(**asyncpg_arguments(make_url(url)))
    forgotten.terminate()
    connection = await asyncpg.connect(**asyncpg_arguments(await server_url()))
    try:
        assert not await connection.fetchval(
            "select true from pg_database where datname = $1", make_url(url).database
        )
    finally:
        await connection.close()
