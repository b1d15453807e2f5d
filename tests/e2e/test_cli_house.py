"""Organizations, migrations and errors on the command line."""

from __future__ import annotations

import asyncio
import time

from tests.command_line import CommandLine, is_one_line
from tests.database import fresh_database
from tests.house import ACME, GLOBEX, bare_house, fresh_house

ORGANIZATION = {"slug", "name", "state", "plan", "schema_revision", "schema_error", "created_at"}
NOWHERE = "postgresql://nobody:hunter2secret@127.0.0.1:1/none"


COMMANDS = (
    "demo", "up", "web", "worker", "listener", "migrate", "doctor", "trace", "org", "member", "agent", "package", "signals",
    "directives", "executions", "jobs",
)  # fmt: skip


async def test_help_comes_at_once_and_names_every_command() -> None:
    began = time.monotonic()
    process = await CommandLine().start("--help")
    out, _ = await process.communicate()
    assert time.monotonic() - began < 2.5  # 0.3 s on a machine of its own; tests share theirs
    assert process.returncode == 0
    for name in COMMANDS:
        assert f" {name} " in out.decode(), name


async def test_an_empty_database_is_prepared_by_whoever_comes_first_even_two_at_once() -> None:
    async with fresh_database() as url:
        run = CommandLine.on(url)
        made = await asyncio.gather(
            run("org", "create", "acme", "--json"), run("org", "create", "globex", "--json")
        )
        assert [said.code for said in made] == [0, 0], made
        listed = await run.ok("org", "list", "--json")
        assert [row["slug"] for row in listed.rows] == ["acme", "globex"]
        assert set(listed.rows[0]) == ORGANIZATION
        again = await run.ok("org", "create", "acme", "--json")
        assert again.row["state"] == "active"


async def test_people_read_tables_of_at_most_100_columns() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        listed, shown = await asyncio.gather(run.ok("org", "list"), run.ok("org", "show", "acme"))
        assert "acme" in listed.out
        assert "globex" in listed.out
        assert max(len(line) for line in (listed.out + shown.out).splitlines()) <= 100


async def test_each_error_is_one_line_that_says_what_to_do() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        bad, missing, away, unset, wrong, level, broker = await asyncio.gather(
            run("org", "create", "No Good"),
            run("agent", "list", "--org", "nowhere"),
            run("org", "list", FLEETPROMPT_DATABASE_URL=NOWHERE),
            run("package", "list", FLEETPROMPT_MASTER_KEY=""),
            run("org", "list", FLEETPROMPT_PORT="eighty"),
            run("org", "list", FLEETPROMPT_LOG_LEVEL="loud"),
            run("org", "list", FLEETPROMPT_BROKER_URL="kafka://:hunter2secret@127.0.0.1"),
        )
        for said in (bad, missing, away, unset, wrong, level, broker):
            assert said.code == 1, said
            assert is_one_line(said.err), said
            assert said.out == ""
        assert "lower-case letters" in bad.err
        assert "fleetprompt org list" in missing.err
        assert "Postgres does not answer" in away.err
        assert "hunter2secret" not in away.err
        assert "FLEETPROMPT_MASTER_KEY" in unset.err
        assert "openssl rand" in unset.err
        assert "FLEETPROMPT_PORT" in wrong.err
        assert "WARNING" in level.err
        assert "nats://" in broker.err
        assert "hunter2secret" not in broker.err


async def test_wrong_usage_exits_2_and_the_organization_is_always_explicit() -> None:
    run = CommandLine()
    unknown, without_org, without_id = await asyncio.gather(
        run("frobnicate"), run("signals", "list"), run("directives", "approve", "--org", "acme")
    )
    assert [said.code for said in (unknown, without_org, without_id)] == [2, 2, 2]
    assert "--org" in without_org.err


async def test_a_traceback_is_shown_to_who_asks_for_it() -> None:
    run = CommandLine.on(NOWHERE)
    assert "Traceback" in (await run("org", "list", FLEETPROMPT_DEBUG="1")).err


async def test_migrate_tells_of_each_organization_and_fails_if_one_failed() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        await house.rows("update public.organizations set schema_revision = null")
        await house.tenant_rows(GLOBEX, "update alembic_version set version_num = 'from_the_future'")
        failed = await run("migrate", "--json")
        assert failed.code == 1, failed
        told = {row["org"]: row for row in failed.rows}
        assert told["acme"] == {"org": "acme", "ok": True, "error": None}
        assert "newer than this program" in told["globex"]["error"]
        one = await run("org", "migrate", "globex")
        assert (one.code, one.out) == (1, "")
        assert "Upgrade FleetPrompt" in one.err
        assert (await run("migrate")).out.startswith("Registry:")


async def test_migrate_twice_changes_nothing() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        first, second = await asyncio.gather(run.ok("migrate"), run.ok("migrate"))
        assert "up to date" in first.out
        assert "up to date" in second.out
        assert "tenant_" in (await run.ok("org", "migrate", "acme")).out


async def test_a_name_that_nobody_could_type_again_is_refused() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, TOKEN="t")
        install = (
            "package",
            "install",
            "mattermost",
            "--org",
            "acme",
            "--set",
            "server_url=http://127.0.0.1:1",
        )
        refused = await asyncio.gather(
            run("agent", "create", "a\x1b[2Jb", "--org", "acme"),
            run("org", "create", "initech", "--name", "two\nlines"),
            run(*install, "--secret", "bot_token=env:TOKEN", "--name", "turned\u202eround"),
        )
        for said in refused:
            assert (said.code, is_one_line(said.err)) == (1, True), said
            assert "visible characters on one line" in said.err
        not_utf8 = await asyncio.gather(
            run("agent", "create", "caf\udce9", "--org", "acme"),
            run("agent", "create", "fleet", "--org", "acme", "--purpose", "caf\udce9"),
            run("signals", "list", "--org", "caf\udce9"),
        )
        for said in not_utf8:
            assert (said.code, is_one_line(said.err), "not UTF-8" in said.err) == (1, True, True), said
        assert await house.value("select count(*) from public.organizations") == 2
        assert (
            await house.tenant_rows(ACME, "select name from agents union all select name from installations")
            == []
        )
