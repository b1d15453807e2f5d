"""An organization as a file: all of it, of one moment, without secrets, and back."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetprompt.database.tables import tables_of
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.export import export_organization
from fleetprompt.tenancy.orphans import find_orphans
from fleetprompt.tenancy.restore import restore_organization
from fleetprompt.tenancy.suspension import suspend
from tests import killing, serving, tenant_programs
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, House, bare_house
from tests.town import Town, town

COPY = TenantSlug("copy")


@pytest.fixture
async def play() -> AsyncIterator[Town]:
    """A town where one question was answered, and another waits while acme rests."""
    async with town() as made:
        with killing.running(serving.serve, made.house.url, made.desk.url):
            await made.answered(made.ask("@fleet help"))
            await made.settled()
            await suspend(made.house.database, ACME)
            made.ask("@fleet help again")
            async with asyncio.timeout(20):
                while not await made.house.value("select count(*) from public.job where state = 'available'"):
                    await asyncio.sleep(0.05)
        yield made


async def contents(house: House, slug: TenantSlug) -> dict[str, list[str]]:
    """Every row of every table of a tenant, as text."""
    connection = await house.database.connect_raw()
    try:
        await connection.execute(f"set role r_org_{slug}")
        return {
            table.name: sorted(
                row[0] for row in await connection.fetch(f"select to_jsonb(t)::text from {table.sql} t")
            )
            for table in await tables_of(connection, f"org_{slug}")
        }
    finally:
        await connection.close()


def text_of(path: Path) -> str:
    """All that the file says, in one string."""
    with zipfile.ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


async def test_it_comes_back_whole_with_its_secrets_and_goes_on(play: Town, tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    await export_organization(play.house.database, ACME, path, with_credentials=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert play.bot.token not in text_of(path)
    async with bare_house() as other:
        assert await restore_organization(other.database, path) == ACME
        before, after = await contents(play.house, ACME), await contents(other, ACME)
        assert before == after
        assert before["credentials"]
        assert before["messages"]
        assert await find_orphans(other.database) == []
        await play.house.rows("delete from public.connections")  # it listens at one place alone
        await CommandLine.on(other.url).ok("org", "resume", ACME)
        posts = [post for post in play.chat.posts(play.support) if post.user_id == play.dana.id]
        waiting = [post.id for post in posts if "again" in post.message and post.user_id == play.dana.id]
        with killing.running(serving.serve, other.url, play.desk.url):
            await play.answered(*waiting, play.ask("@fleet help me here"))
        assert play.doubled() == []


async def test_without_secrets_it_comes_disabled_and_says_what_to_do(play: Town, tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    await export_organization(play.house.database, ACME, path)
    with zipfile.ZipFile(path) as archive:
        assert not any("credentials" in name for name in archive.namelist())
        assert json.loads(archive.read("manifest.json"))["wrapped_key"] is None
    async with bare_house() as other:
        await CommandLine.on(other.url).ok("org", "import", str(path))
        assert await other.tenant_rows(ACME, "select 1 from grants")  # what it was installed with is granted
        [installed] = await other.tenant_rows(ACME, "select state from installations")
        assert installed["state"] == "disabled"
        assert await other.value("select count(*) from public.connections") == 0
        assert await other.value("select wrapped_key is null from public.organizations")
        run = CommandLine.on(other.url)
        await run.ok("org", "resume", ACME)
        secret = {"MATTERMOST_TOKEN": play.bot.token}
        words = ("mattermost", "--org", ACME)
        await run.ok("package", "configure", *words, "--secret", "bot_token=env:MATTERMOST_TOKEN", **secret)
        await run.ok("package", "enable", *words)
        assert await other.value("select enabled from public.connections")


async def test_under_another_name_it_is_a_copy_that_does_nothing_twice(play: Town, tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    await export_organization(play.house.database, ACME, path, with_credentials=True)
    await restore_organization(play.house.database, path, slug=COPY)
    before, after = await contents(play.house, ACME), await contents(play.house, COPY)
    assert after.pop("credentials") == []
    for table in ("signals", "messages", "executions", "directives", "effects", "alembic_version"):
        assert before[table] == after[table], table
    assert await play.house.value("select count(*) from public.job where tenant = 'copy'") == 0
    assert await play.house.value("select count(*) from public.connections") == 1
    with pytest.raises(Conflict, match="--as SLUG"):
        await restore_organization(play.house.database, path)


async def test_the_file_is_of_one_moment_however_much_is_written_meanwhile(
    play: Town, tmp_path: Path
) -> None:
    await play.house.tenant_rows(GLOBEX, "create table aaa as select 1 as n")
    await play.house.tenant_rows(GLOBEX, "create table zzz as select 1 as n")
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            both = "with a as (insert into aaa values (2)) insert into zzz values (2)"
            await play.house.tenant_rows(GLOBEX, both)

    writing = asyncio.create_task(write())
    for number in range(5):
        path = tmp_path / f"{number}.zip"
        await export_organization(play.house.database, GLOBEX, path)
        with zipfile.ZipFile(path) as archive:
            rows = {one["table"]: one["rows"] for one in json.loads(archive.read("manifest.json"))["tables"]}
        assert rows["tenant/aaa"] == rows["tenant/zzz"]
    stop.set()
    await writing


async def test_killed_while_writing_there_is_no_file_and_the_next_try_is_whole(
    play: Town, tmp_path: Path
) -> None:
    path = tmp_path / "acme.zip"
    await killing.dies(
        tenant_programs.export, play.house.url, ACME, str(path), fault="export.table_written:5"
    )
    assert not path.exists()
    await export_organization(play.house.database, ACME, path)
    assert os.listdir(tmp_path) == ["acme.zip"]
    with pytest.raises(Conflict, match="exists already"):
        await export_organization(play.house.database, ACME, path)


async def test_killed_while_reading_there_is_nothing_and_the_next_try_is_whole(
    play: Town, tmp_path: Path
) -> None:
    path = tmp_path / "acme.zip"
    await export_organization(play.house.database, ACME, path, with_credentials=True)
    async with bare_house() as other:
        await killing.dies(tenant_programs.restore, other.url, str(path), fault="restore.loaded")
        assert await other.value("select count(*) from public.organizations") == 0
        assert await other.value("select to_regnamespace('org_acme') is null")
        await restore_organization(other.database, path)
        assert await contents(other, ACME) == await contents(play.house, ACME)


async def test_a_damaged_or_foreign_file_is_refused_and_leaves_nothing(play: Town, tmp_path: Path) -> None:
    path, other = tmp_path / "acme.zip", tmp_path / "changed.zip"
    await export_organization(play.house.database, ACME, path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(other, "w") as changed:
        for name in whole.namelist():
            said = whole.read(name)
            changed.writestr(name, said.replace(b"help", b"hulp") if "messages" in name else said)
    (tmp_path / "not.zip").write_bytes(b"PK nothing")
    async with bare_house() as house:
        for file in (other, tmp_path / "not.zip", tmp_path / "nowhere.zip"):
            with pytest.raises(InvalidInput):
                await restore_organization(house.database, file)
        assert await house.value("select count(*) from public.organizations") == 0


async def test_the_commands_show_their_progress_and_refuse_another_master_key(
    play: Town, tmp_path: Path
) -> None:
    path = str(tmp_path / "acme.zip")
    run = CommandLine.on(play.house.url)
    said = await run.ok("org", "export", ACME, path, "--with-credentials")
    assert "tenant/signals: " in said.out
    async with bare_house() as other:
        wrong = await CommandLine.on(other.url, FLEETPROMPT_MASTER_KEY="A" * 43 + "=")("org", "import", path)
        assert (wrong.code, is_one_line(wrong.err)) == (1, True), wrong
        assert "master key" in wrong.err
        imported = await CommandLine.on(other.url).ok("org", "import", path)
        assert "org resume acme" in imported.out
