"""Everything moves into another server, whole, and goes on there; killed on the way it goes on from where it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetprompt.database.engine import Database
from fleetprompt.database.tables import tables_of
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.runtime.jobs import claim
from fleetprompt.tenancy import Tenancy
from fleetprompt.tenancy.move_in import import_database
from fleetprompt.tenancy.move_out import NOT_MOVED, export_database
from fleetprompt.tenancy.orphans import find_orphans
from tests import killing, serving, tenant_programs
from tests.command_line import CommandLine, is_one_line
from tests.database import fresh_database, reachable_directory
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.readme import Shell, blocks
from tests.town import Town, town

ALL_GONE = (
    "update public.connections set holder = null, lease_until = null",
    "update public.job set lease_until = now() - interval '1 s' where state = 'running'",
    "delete from public.worker",
)


@contextlib.asynccontextmanager
async def elsewhere() -> AsyncIterator[House]:
    """An empty database, not even migrated."""
    async with fresh_database() as url:
        database = Database(url)
        try:
            yield House(url, database, Tenancy(database))
        finally:
            await database.close()


@pytest.fixture
async def play() -> AsyncIterator[Town]:
    """A town where one question was answered and another waits; nobody works any more."""
    async with town() as made:
        with killing.running(serving.serve, made.house.url, made.desk.url):
            await made.answered(made.ask("@fleet help"))
            await made.settled()
        made.ask("@fleet help again")
        for statement in ALL_GONE:
            await made.house.rows(statement)
        await claim.reap(made.house.database)  # the service may have died within a recurring job
        yield made


async def everything(house: House) -> dict[str, list[str]]:
    """Every row of every table that moves, as text."""
    connection = await house.database.connect_raw()
    found = {}
    try:
        for schema, role in (
            ("public", "none"),
            (f"org_{ACME}", f"r_org_{ACME}"),
            (f"org_{GLOBEX}", f"r_org_{GLOBEX}"),
        ):
            await connection.execute(f"set role {role}")
            for table in await tables_of(connection, schema):
                if table.name not in NOT_MOVED:
                    rows = await connection.fetch(f"select to_jsonb(t)::text from {table.sql} t")
                    found[table.sql] = sorted(row[0] for row in rows)
    finally:
        await connection.close()
    return found


async def test_all_is_there_and_goes_on_there(play: Town, tmp_path: Path) -> None:
    path, here = tmp_path / "all.zip", CommandLine.on(play.house.url)
    await export_database(play.house.database, path)
    assert play.bot.token.encode() not in path.read_bytes()
    [signal] = [
        row
        for row in (await here.ok("signals", "list", "--org", ACME, "--json")).rows
        if row["name"] == "chat.message.received"
    ]
    async with elsewhere() as target:
        there = CommandLine.on(target.url)
        said = await there.ok("database", "import", str(path))
        assert "acme: " in said.out
        assert await everything(target) == await everything(play.house)
        assert await find_orphans(target.database) == []
        levels = {row["check"]: row["level"] for row in (await there("doctor", "--json")).rows}
        assert {levels[name] for name in ("registry", "schemas", "migrations", "tenant keys")} == {"ok"}
        trace = ("trace", signal["id"], "--org", ACME, "--json")
        assert (await there.ok(*trace)).rows == (await here.ok(*trace)).rows
        asked = [post for post in play.chat.posts(play.support) if post.user_id == play.dana.id]
        again = [post.id for post in asked if "again" in post.message]
        with killing.running(serving.serve, target.url, play.desk.url):
            await play.answered(*again, play.ask("@fleet help me here"))
        assert play.doubled() == []


async def test_killed_between_tenants_or_at_the_end_it_goes_on_and_is_whole(
    play: Town, tmp_path: Path
) -> None:
    path = tmp_path / "all.zip"
    await export_database(play.house.database, path)
    for point in ("move.tenant_loaded", "move.registry_loaded"):
        async with elsewhere() as target:
            await killing.dies(tenant_programs.move_in, target.url, str(path), fault=point)
            assert await target.value("select count(*) from public.organizations") == 0
            [registry] = [
                row
                for row in (await CommandLine.on(target.url)("doctor", "--json")).rows
                if row["check"] == "registry"
            ]
            assert (registry["level"], "database import" in registry["remedy"]) == ("fail", True)
            await import_database(target.database, path)
            assert await everything(target) == await everything(play.house)
            assert await find_orphans(target.database) == []


async def test_what_ran_is_taken_up_again_and_nobody_holds_a_connection(tmp_path: Path) -> None:
    async with fresh_house() as house, elsewhere() as target:
        await house.rows(
            "insert into public.job (id, tenant, kind, args, state, worker, lease_until)"
            " values (gen_random_uuid(), 'acme', 'mark', '{}', 'running', 'w', now() + interval '1 h')"
        )
        await export_database(house.database, tmp_path / "all.zip", force=True)
        await import_database(target.database, tmp_path / "all.zip")
        [job] = await target.rows("select state, worker from public.job")
        assert tuple(job) == ("available", None)


async def test_a_database_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with fresh_house() as house, fresh_house() as other, elsewhere() as begun:
        first, second = tmp_path / "1.zip", tmp_path / "2.zip"
        for path in (first, second):
            await export_database(house.database, path)
        with pytest.raises(Conflict, match="not empty"):
            await import_database(other.database, first)
        assert await find_orphans(other.database) == []
        await killing.dies(tenant_programs.move_in, begun.url, str(first), fault="move.tenant_loaded")
        with pytest.raises(Conflict, match="Another file"):
            await import_database(begun.database, second)


async def test_a_database_that_is_worked_on_is_not_exported_unless_forced(tmp_path: Path) -> None:
    async with fresh_house() as house:
        await house.rows("insert into public.worker (id, idle, host, pid) values ('w', true, 'h', 1)")
        with pytest.raises(Conflict, match="1 workers and 0 listeners"):
            await export_database(house.database, tmp_path / "all.zip")
        assert os.listdir(tmp_path) == []
        await export_database(house.database, tmp_path / "all.zip", force=True)


async def test_the_file_is_of_one_moment_over_all_tenants(tmp_path: Path) -> None:
    async with fresh_house() as house, elsewhere() as target:
        for tenant in (ACME, GLOBEX):
            await house.tenant_rows(tenant, "create table both_have as select 1 as n")
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                for tenant in (ACME, GLOBEX):
                    await house.tenant_rows(tenant, "insert into both_have values (2)")

        writing = asyncio.create_task(write())
        for number in range(3):
            told: dict[str, int] = {}
            await export_database(
                house.database, tmp_path / f"{number}.zip", force=True, told=told.__setitem__
            )
            assert told["acme"] - told["globex"] in (0, 1)  # acme's comes first
        stop.set()
        await writing
        with pytest.raises(InvalidInput, match="did not make"):  # nothing is left behind in silence
            await import_database(target.database, tmp_path / "0.zip")


async def test_another_version_and_another_key_are_refused_before_anything_is_stored(
    play: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "all.zip"
    await export_database(play.house.database, path)
    async with elsewhere() as target:
        run = CommandLine.on(target.url, FLEETPROMPT_MASTER_KEY="A" * 43 + "=")
        said = await run("database", "import", str(path))
        assert (said.code, is_one_line(said.err)) == (1, True), said
        assert "another master key" in said.err
        monkeypatch.setattr("fleetprompt.database.scripts.head", lambda family: f"{family}_9999")
        with pytest.raises(InvalidInput, match="Import with the version that exported"):
            await import_database(target.database, path)
        assert await target.value("select to_regclass('public.organizations') is null")


@pytest.mark.slow
async def test_out_of_the_embedded_database_as_the_readme_says(tmp_path: Path) -> None:
    [block] = blocks("Leave the embedded database")
    with reachable_directory() as folder:
        run = CommandLine({"FLEETPROMPT_DATA_DIR": str(folder / "data")})
        await run.ok("org", "create", "acme")
        await run.ok("agent", "create", "fleet", "--org", "acme", "--purpose", "Helps.")
        async with elsewhere() as target:
            url = "postgresql://fleetprompt:password@db.example.com/fleetprompt"
            instead = {"/var/lib/fleetprompt": f"{folder}/data", url: f"'{target.url}'"}
            said = await Shell.opened(tmp_path, run, instead).ok(block)
            assert f"{folder}/data/master.key" in said.out
            assert "fail" not in said.out
            [agent] = await target.tenant_rows(ACME, "select name from agents")
            assert agent["name"] == "fleet"
