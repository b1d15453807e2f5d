"""The databases that tests get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.database import asyncpg_arguments, execute, fresh_database, reachable_directory, server_url
from tests.embedded import ROOT


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


async def test_an_own_server_is_used_when_its_url_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    url = await server_url()
    given = f"postgresql://{url.username}@/{url.database}?host={url.query['host']}&port={url.query['port']}"
    if "FLEETPROMPT_DATABASE_URL" not in os.environ:
        monkeypatch.setenv("FLEETPROMPT_DATABASE_URL", given)
    async with fresh_database() as fresh:
        assert make_url(fresh).drivername == "postgresql+asyncpg"
        await execute(fresh, "create table mark (id int)")


@pytest.mark.skipif("FLEETPROMPT_DATABASE_URL" in os.environ, reason="no server of our own is started")
def test_a_killed_runs_directory_is_swept_by_the_next_run() -> None:
    left = _left_by_a_killed_run()
    program = "import asyncio; from tests.database import server_url; print(asyncio.run(server_url()))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_TESTRUNUID"}
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}
    )
    assert not left.exists()
    assert not left.with_suffix(".lock").exists()


def _left_by_a_killed_run() -> Path:
    with reachable_directory() as directory:
        left = directory.parent / f"fleetprompt-tests-{os.geteuid()}-{uuid4().hex}"
    (left / "postgres").mkdir(parents=True)
    left.with_suffix(".lock").touch()
    return left
