"""A file that somebody else wrote: its names are no SQL, its jobs stay among its own, and it costs bounded memory."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.database.archive import ArchiveReader
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import new_id
from fleetprompt.tenancy.export import FORMAT, VERSION, export_organization
from fleetprompt.tenancy.move_in import import_database
from fleetprompt.tenancy.move_out import export_database
from fleetprompt.tenancy.restore import restore_organization
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, House, bare_house, fresh_house

Manifest = dict[str, Any]
MANIFEST = "manifest.json"


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """An export of acme, which has one job."""
    path = tmp_path / "acme.zip"
    async with fresh_house() as house:
        await house.rows(
            "insert into public.job (id, tenant, kind, args, lane) values ($1, 'acme', 'x.y', '{}', 'acme:l')",
            new_id(),
        )
        await export_organization(house.database, ACME, path)
    return path


def forged(whole: Path, path: Path, change: Callable[[Manifest, dict[str, bytes]], None]) -> Path:
    """The same with other members, and a manifest that vouches for them."""
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members.pop(MANIFEST))
    change(about, members)
    for part in about["tables"]:
        if isinstance(part, dict) and part["file"] in members:
            part["sha256"] = hashlib.sha256(members[part["file"]]).hexdigest()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, MANIFEST: json.dumps(about).encode()}.items():
            archive.writestr(name, content)
    return path


def part_of(about: Manifest, table: str) -> Manifest:
    [found] = [one for one in about["tables"] if one["table"] == table]
    return dict(found)


async def refused(house: House, path: Path) -> str:
    """What the refusal says; nothing is left behind."""
    with pytest.raises(InvalidInput) as told:
        await restore_organization(house.database, path)
    assert await house.value("select count(*) from public.organizations") == 0
    assert await house.value("select to_regnamespace('org_acme') is null")
    return str(told.value)


async def test_names_of_tables_and_columns_are_no_sql(whole: Path, tmp_path: Path) -> None:
    out = "name\") select set_config('role', 'none', true) --"

    def column(about: Manifest, members: dict[str, bytes]) -> None:
        members["tenant/agents.jsonl"] = b"{}\n"
        mine = next(one for one in about["tables"] if one["table"] == "tenant/agents")
        mine.update(columns=[out], rows=1)

    def table(about: Manifest, members: dict[str, bytes]) -> None:
        members["x"] = b"{}\n"
        about["tables"].append(
            {**part_of(about, "tenant/agents"), "file": "x", "table": f'tenant/agents" ("{out}', "rows": 1}
        )

    async with bare_house() as house:
        for number, change in enumerate((column, table)):
            said = await refused(house, forged(whole, tmp_path / f"{number}.zip", change))
            assert "no table that FleetPrompt makes" in said


async def test_its_jobs_hold_no_lane_of_somebody_else(whole: Path, tmp_path: Path) -> None:
    def others_lane(_: Manifest, members: dict[str, bytes]) -> None:
        members["registry/job.jsonl"] = members["registry/job.jsonl"].replace(b"acme:l", b"globex:l")

    async with bare_house() as house:
        await refused(house, forged(whole, tmp_path / "forged.zip", others_lane))
        await restore_organization(house.database, whole)
        assert await house.value("select lane from public.job where tenant = 'acme'") == "acme:l"


async def test_its_people_come_along_and_who_is_known_stays_who_they_are(tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        await run.ok("member", "add", "ada@acme.example", "--org", "acme", "--role", "owner")
        await run.ok("member", "add", "bob@acme.example", "--org", "acme")
        await run.ok("member", "suspend", "bob@acme.example", "--org", "acme")
        ada = await house.value("select id from public.users where email = 'ada@acme.example'")
        await export_organization(house.database, ACME, path)
    async with bare_house() as other:
        await other.rows(
            "insert into public.users (id, email, name) values ($1, 'bob@acme.example', 'Bob')", new_id()
        )
        await restore_organization(other.database, path)
        listed = (await CommandLine.on(other.url).ok("member", "list", "--org", "acme", "--json")).out
        people = {one["email"]: one for one in map(json.loads, listed.splitlines())}
        assert (people["ada@acme.example"]["role"], people["ada@acme.example"]["user_id"]) == (
            "owner",
            str(ada),
        )
        assert (people["bob@acme.example"]["name"], people["bob@acme.example"]["status"]) == (
            "Bob",
            "suspended",
        )


def _rows_of_nothing(_: Manifest, members: dict[str, bytes]) -> None:
    members["registry/job.jsonl"] = b"no json\n"


def _bytes_of_nothing(_: Manifest, members: dict[str, bytes]) -> None:
    members["registry/job.jsonl"] = b"\xff\xfe\n"


def _no_name(about: Manifest, _: dict[str, bytes]) -> None:
    about["name"] = "two\nlines"


def _no_slug(about: Manifest, _: dict[str, bytes]) -> None:
    about["slug"] = 7


def _no_key(about: Manifest, _: dict[str, bytes]) -> None:
    about["wrapped_key"] = "*"


def _no_tables(about: Manifest, _: dict[str, bytes]) -> None:
    about["tables"] = [1]


def _lost(about: Manifest, members: dict[str, bytes]) -> None:
    del members["tenant/agents.jsonl"]


@pytest.mark.parametrize(
    "change", [_rows_of_nothing, _bytes_of_nothing, _no_name, _no_slug, _no_key, _no_tables, _lost]
)
async def test_whatever_is_wrong_with_it_is_said_in_a_line(
    whole: Path, tmp_path: Path, change: Callable[[Manifest, dict[str, bytes]], None]
) -> None:
    path = forged(whole, tmp_path / "forged.zip", change)
    async with bare_house() as house:
        await refused(house, path)
        said = await CommandLine.on(house.url)("org", "import", str(path))
        assert (said.code, is_one_line(said.err)) == (1, True), said


def test_a_file_with_other_bytes_anywhere_is_refused_and_nothing_else_is_raised(
    whole: Path, tmp_path: Path
) -> None:
    content, path = whole.read_bytes(), tmp_path / "changed.zip"
    for place in range(0, len(content), max(1, len(content) // 400)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            with ArchiveReader(path, FORMAT, VERSION) as archive:
                for part in archive.parts:
                    list(archive.lines(part))
        except InvalidInput:
            continue


def test_a_manifest_that_unfolds_to_more_than_any_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(MANIFEST, "w") as member:
        for _ in range(65):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InvalidInput):
        ArchiveReader(path, FORMAT, VERSION)


def test_lines_over_many_chunks_come_whole(tmp_path: Path) -> None:
    lines = [b"a", b"b" * 3_000_000, b"", b"c" * (1 << 20), b"d"]
    path = tmp_path / "long.zip"
    content = b"\n".join(lines)
    part = {
        "file": "f",
        "table": "t",
        "columns": ["c"],
        "rows": 5,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("f", content)
        archive.writestr(MANIFEST, json.dumps({"format": FORMAT, "version": VERSION, "tables": [part]}))
    with ArchiveReader(path, FORMAT, VERSION) as reader:
        assert list(reader.lines(reader.parts[0])) == lines


def _other_rows(_: Manifest, members: dict[str, bytes]) -> None:
    members["registry/job.copy"] = b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\x00\x07 no row"


def _other_column(about: Manifest, _: dict[str, bytes]) -> None:
    next(one for one in about["tables"] if one["table"] == "agents").update(columns=["pg_catalog"])


def _no_id(about: Manifest, _: dict[str, bytes]) -> None:
    about["export_id"] = None


async def test_what_is_wrong_with_a_whole_database_is_said_too(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    async with fresh_house() as house:
        await export_database(house.database, path)
    for number, change in enumerate((_other_rows, _other_column, _no_id)):
        async with bare_house() as house:
            with pytest.raises(InvalidInput):
                await import_database(house.database, forged(path, tmp_path / f"{number}.zip", change))
            assert await house.value("select count(*) from public.organizations") == 0


async def test_a_link_in_the_place_of_the_draft_leads_nowhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "acme.zip.part").symlink_to(victim)
    async with fresh_house() as house:
        await export_organization(house.database, ACME, tmp_path / "acme.zip")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "acme.zip").is_symlink()
