"""The registry: published once, never changed, checked whenever it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.packages import withdrawing
from fleetprompt.packages.planning import plan
from fleetprompt.packages.published import (
    choose,
    find_version,
    refuse_platform,
    search,
    split_pin,
    versions_of,
)
from fleetprompt.packages.publishing import FIRST_PARTY, publish, publish_first_party
from fleetprompt.packages.signing import SignatureRefused
from fleetprompt.packages.signing_files import sign_folder
from fleetprompt.packages.skills import find_skill, list_skills
from fleetprompt.tenancy.move_in import import_database
from fleetprompt.tenancy.move_out import export_database
from tests.command_line import CommandLine
from tests.database import fresh_database
from tests.house import House, bare_house
from tests.manifests import KEYS, VALID, key_file, manifest, put, release

COUNTS = "select (select count(*) from packages), (select count(*) from package_versions), (select count(*) from skills)"


@pytest.fixture
async def bare(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A registry in which the test's own key is trusted too."""
    for name, key in KEYS.items():
        monkeypatch.setitem(trusted(), name, key)
    async with bare_house() as house:
        yield house


def trusted() -> dict[str, str]:
    from fleetprompt.packages.signing import TRUSTED

    return TRUSTED


async def test_what_the_program_brings_is_published_once_whoever_starts(bare: House) -> None:
    before = await bare.rows(COUNTS)
    moments = await bare.rows("select published_at from package_versions order by 1")
    assert tuple(before[0]) == (4, 4, 3)
    for _ in range(2):
        failures = await asyncio.gather(*(publish_first_party(bare.database) for _ in range(6)))
        assert failures == [[]] * 6
    assert await bare.rows(COUNTS) == before
    assert await bare.rows("select published_at from package_versions order by 1") == moments


async def test_several_publishers_of_one_version_make_one(bare: House) -> None:
    made = await asyncio.gather(*(publish(bare.database, release()) for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]
    assert len(await versions_of(bare.database, "greeter")) == 1
    assert await bare.value("select count(*) from skills where package = 'greeter'") == 1


async def test_several_versions_live_side_by_side_and_the_highest_speaks(bare: House) -> None:
    for version in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"):
        await publish(bare.database, release(version=version, summary=f"Says {version}."))
    found = await versions_of(bare.database, "greeter")
    assert [one.row.version for one in found] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.0.0"]
    assert (await choose(bare.database, "greeter")).row.version == "1.10.0"
    [package] = await search(bare.database, "greeter says")
    assert (package.latest, package.summary) == ("2.0.0-rc.1", "Says 2.0.0-rc.1.")


async def test_a_version_is_never_published_otherwise(bare: House) -> None:
    await publish(bare.database, release())
    with pytest.raises(Conflict, match="raise its version"):
        await publish(bare.database, release(summary="Says something else."))
    assert (await find_version(bare.database, "greeter", "1.0.0")).verified() == manifest()


async def test_what_is_not_signed_by_a_trusted_key_is_not_published() -> None:
    async with bare_house() as house:
        with pytest.raises(SignatureRefused, match="not trusted"):
            await publish(house.database, release())
        assert await search(house.database, "greeter") == []


async def test_one_package_that_cannot_be_published_keeps_no_other_from_it(
    bare: House, tmp_path: Path
) -> None:
    folder, key = tmp_path / "registry", key_file(tmp_path)
    for slug in ("a", "b", "c"):
        put(folder, VALID.replace("slug: greeter", f"slug: {slug}"), slug)
    sign_folder(folder, key)
    put(folder, VALID.replace("slug: greeter", "slug: b").replace("Says hello.", "Says no.", 1), "b")
    [failure] = await publish_first_party(bare.database, folder)
    assert "b 1.0.0 was changed after it was signed" in failure
    assert [one.slug for one in await search(bare.database, "greeter")] == ["a", "c"]


async def test_a_changed_file_of_a_published_version_is_said_and_changes_nothing(
    bare: House, tmp_path: Path
) -> None:
    folder, key = tmp_path / "registry", key_file(tmp_path)
    put(folder)
    sign_folder(folder, key)
    assert await publish_first_party(bare.database, folder) == []
    put(folder, VALID.replace("Says hello.", "Says no.", 1))
    sign_folder(folder, key, replace=True)
    [failure] = await publish_first_party(bare.database, folder)
    assert "published with another content" in failure
    assert (await choose(bare.database, "greeter")).verified().summary == "Says hello."


CHANGES = [
    "update package_versions set manifest = manifest || ' '",
    "update package_versions set digest = 'x'",
    "update package_versions set signature = 'x'",
    "update package_versions set version = '9.9.9' where package = 'webhook'",
    "update package_versions set published_at = now() - interval '1 day'",
    "delete from package_versions where package = 'webhook'",
    "truncate package_versions cascade",
    "update skills set instructions = 'Obey me.'",
    "delete from skills",
]


@pytest.mark.parametrize("sql", CHANGES)
async def test_the_database_refuses_to_change_what_is_published(bare: House, sql: str) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.ForeignKeyViolationError)):
        await bare.rows(sql)


async def test_revoking_is_for_good_in_the_database_too(bare: House) -> None:
    await withdrawing.revoke(bare.database, "webhook", "0.1.0", "It leaks.")
    for sql in ("set revoked_at = null", "set revoked_reason = 'It was nothing'"):
        with pytest.raises(asyncpg.CheckViolationError, match="stay revoked"):
            await bare.rows(f"update package_versions {sql} where package = 'webhook'")


async def test_a_row_that_was_tampered_with_is_refused_at_load(bare: House) -> None:
    """Somebody with all rights on the server, who switches the triggers off."""
    await publish(bare.database, release())
    await publish(bare.database, release("guest"))
    cases = [
        "set manifest = replace(manifest, 'Says hello', 'Says yes')",
        "set manifest = replace(manifest, 'hello', 'yes'), digest = 'sha256:' ||"
        " encode(sha256(convert_to(replace(manifest, 'hello', 'yes'), 'UTF8')), 'hex')",
        "set (manifest, digest, signature) = (select g.manifest, g.digest, g.signature"
        " from package_versions g where g.package = 'guest')",
    ]
    expected = ["was changed after it was signed", "not valid", "holds another package's manifest"]
    for change, said in zip(cases, expected, strict=True):
        async with bare.database.connection() as connection:
            await connection.exec_driver_sql("alter table package_versions disable trigger user")
            await connection.exec_driver_sql(f"update package_versions {change} where package = 'greeter'")
            with pytest.raises(SignatureRefused, match=said):
                await _load_in(connection)
            await connection.rollback()
    assert (await find_version(bare.database, "greeter", "1.0.0")).verified() == manifest()


async def _load_in(connection: object) -> None:
    """As `Published.verified` reads it, in the transaction that holds the change."""
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from fleetprompt.model import PackageVersion
    from fleetprompt.packages.published import Published

    assert isinstance(connection, AsyncConnection)
    query = select(PackageVersion).where(PackageVersion.package == "greeter")
    row = (await connection.execute(query)).mappings().one()
    Published(
        PackageVersion(**{column.name: row[column.name] for column in PackageVersion.__table__.columns})
    ).verified()


async def test_a_yanked_version_is_chosen_by_its_exact_name_alone(bare: House) -> None:
    for version in ("1.0.0", "1.1.0"):
        await publish(bare.database, release(version=version))
    yanked = await withdrawing.yank(bare.database, "greeter", "1.1.0", "It greets twice.")
    assert (yanked.state, yanked.reason) == ("yanked", "It greets twice")
    again = await withdrawing.yank(bare.database, "greeter", "1.1.0", "Another reason.")
    assert (again.reason, again.row.yanked_at) == (yanked.reason, yanked.row.yanked_at)
    assert (await choose(bare.database, "greeter")).row.version == "1.0.0"
    assert (await choose(bare.database, "greeter", "1.1.0")).row.version == "1.1.0"
    await withdrawing.yank(bare.database, "greeter", "1.0.0", "Old.")
    with pytest.raises(Conflict, match=r"greeter 1\.1\.0 is yanked \(It greets twice\)"):
        await choose(bare.database, "greeter")


async def test_a_revoked_version_is_chosen_by_nobody(bare: House) -> None:
    await publish(bare.database, release())
    await withdrawing.revoke(bare.database, "greeter", "1.0.0", "It leaks.")
    for pin in (None, "1.0.0"):
        with pytest.raises(Conflict, match="It leaks"):
            await choose(bare.database, "greeter", pin)
    assert [skill.package for skill in await list_skills(bare.database)] == ["starter-agent"] * 3


async def test_a_reason_is_one_line(bare: House) -> None:
    for reason in ("", "  ", "x" * 301, "a\x1bb"):
        with pytest.raises(InvalidInput):
            await withdrawing.revoke(bare.database, "webhook", "0.1.0", reason)


async def test_what_is_unknown_is_answered_with_the_nearest(bare: House) -> None:
    with pytest.raises(NotFound, match=r"no package 'matermost'\. Did you mean: mattermost\?"):
        await choose(bare.database, "matermost")
    with pytest.raises(NotFound, match=r"no version '1\.0\.1' of mattermost\. Did you mean: 1\.0\.0\?"):
        await choose(bare.database, "mattermost", "1.0.1")
    with pytest.raises(NotFound, match=r"no skill 'draft-replies'\. Did you mean: draft-reply"):
        await find_skill(bare.database, "draft-replies")


async def test_a_skill_of_two_packages_is_asked_for_by_both_names(bare: House) -> None:
    for slug in ("greeter", "doorman"):
        await publish(bare.database, release(slug))
    with pytest.raises(Conflict, match=r"doorman/greet \| greeter/greet"):
        await find_skill(bare.database, "greet")
    assert (await find_skill(bare.database, "doorman/greet")).package == "doorman"


async def test_skills_are_those_of_the_version_that_would_be_installed(bare: House) -> None:
    await publish(bare.database, release())
    skill = {"name": "bow", "title": "Bow", "description": "Bows.", "instructions": "Bow."}
    await publish(bare.database, release(version="1.1.0", provides={"skills": [skill]}))
    assert [one.name for one in await list_skills(bare.database) if one.package == "greeter"] == ["bow"]
    await withdrawing.yank(bare.database, "greeter", "1.1.0", "Too polite.")
    assert [one.name for one in await list_skills(bare.database) if one.package == "greeter"] == ["greet"]


async def test_a_plan_takes_what_is_published_and_keeps_what_is_installed(bare: House) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        await publish(bare.database, release("base", version))
    await withdrawing.yank(bare.database, "base", "1.2.0", "Odd.")
    root = manifest("greeter", needs={"base": "^1.0.0"})
    fresh = await plan(bare.database, root)
    assert [one.manifest.label for one in fresh] == ["base 1.1.0", "greeter 1.0.0"]
    kept = await plan(bare.database, root, {"base": "1.0.0"})
    assert [(one.manifest.label, one.is_installed) for one in kept] == [
        ("base 1.0.0", True),
        ("greeter 1.0.0", False),
    ]
    with pytest.raises(Conflict, match=r"base 1\.0\.0 is installed"):
        await plan(bare.database, manifest("greeter", needs={"base": "^1.1.0"}), {"base": "1.0.0"})
    with pytest.raises(Conflict, match="there is no package 'nobody'"):
        await plan(bare.database, manifest("greeter", needs={"nobody": "*"}))


async def test_a_package_for_another_platform_is_not_installed() -> None:
    refuse_platform(manifest(platform="*"))
    with pytest.raises(Conflict, match=r"greeter 1\.0\.0 needs FleetPrompt \^77\.0\.0; this is 0\.1\.0"):
        refuse_platform(manifest(platform="^77.0.0"))


def test_a_pin_is_split_from_its_package() -> None:
    assert split_pin("mattermost") == ("mattermost", None)
    assert split_pin("mattermost@1.0.0") == ("mattermost", "1.0.0")
    assert split_pin("mattermost@") == ("mattermost", None)


async def test_what_is_published_moves_into_a_database_that_has_published_already(
    bare: House, tmp_path: Path
) -> None:
    await publish(bare.database, release())
    await withdrawing.yank(bare.database, "webhook", "0.1.0", "Odd.")
    await export_database(bare.database, tmp_path / "all.zip")
    async with bare_house() as other:
        await import_database(other.database, tmp_path / "all.zip")
        every = "select * from package_versions order by package, version"
        assert await other.rows(every) == await bare.rows(every)
        with pytest.raises(asyncpg.CheckViolationError):
            await other.rows("delete from package_versions where package = 'webhook'")


async def test_a_death_while_publishing_leaves_nothing_half_done() -> None:
    async with fresh_database() as url:
        run = CommandLine.on(url)
        died = await run("migrate", FLEETPROMPT_FAULT="package.inserted:3")
        assert died.code == -9
        await run.ok("migrate")
        listed = await run.ok("package", "search", "--json")
    assert {row["package"] for row in listed.rows} == {path.name for path in FIRST_PARTY.iterdir()}
