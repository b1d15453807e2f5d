"""The next release migrates while this one serves: nobody is unready, nothing is lost, and an old process may start anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleetprompt.database.migrate import migrate_public
from fleetprompt.tenancy.migrations import Migrated, migrate_tenants
from tests import rolling, weather
from tests.command_line import CommandLine, is_one_line
from tests.doors import free_port
from tests.house import ACME, GLOBEX
from tests.rolling import NEXT
from tests.town import Town
from tests.weather import stormy_town

pytestmark = pytest.mark.slow

WARNED = "database is newer than this program"


async def test_old_processes_serve_through_the_migrations_of_the_next_release_and_start_anew_on_them(
    tmp_path: Path,
) -> None:
    async with stormy_town() as (play, _):
        port = free_port()
        with weather.running(play, program=rolling.serve, port=port) as old:
            await weather.connected(play)
            async with rolling.watched(port) as answers:
                await _migrated_under_load(play, tmp_path)
                await asyncio.sleep(0.3)
            assert {status for status, _ in answers} == {200}, answers
            assert answers[0][1] == {"status": "ready"}
            assert "an upgrade is under way" in answers[-1][1]["note"]
            assert old.lines() == []
        port = free_port()
        with weather.running(play, program=rolling.serve, port=port) as again:
            async with rolling.watched(port) as answers:
                play.ask("@fleet n12")
                await weather.heard(play, 13, 40)
            assert {status for status, _ in answers} == {200}, answers
            assert [line["event"] for line in again.lines()] == [WARNED]
        await play.settled()
        assert play.doubled() == []
        await _is_the_next_releases(play)


async def _migrated_under_load(play: Town, place: Path) -> None:
    """Twelve messages: before, beside and after both migrations; each is answered once."""

    async def write(first: int, count: int) -> None:
        for n in range(first, first + count):
            play.ask(f"@fleet n{n}")
            await asyncio.sleep(0.05)

    await write(0, 3)
    with rolling.next_release(place):
        revision, _ = await asyncio.gather(migrate_public(play.house.database), write(3, 3))
        assert revision == NEXT["public"]
        outcomes, _ = await asyncio.gather(migrate_tenants(play.house.database), write(6, 3))
        assert outcomes == [Migrated(ACME, None), Migrated(GLOBEX, None)]
    await write(9, 3)
    await weather.heard(play, 12, 40)


async def _is_the_next_releases(play: Town) -> None:
    """Nothing of the old program migrated anything; its commands say why they do not."""
    assert await play.house.value("select version_num from public.alembic_version") == NEXT["public"]
    rows = await play.house.rows("select schema_revision, schema_error, state from public.organizations")
    assert {tuple(row) for row in rows} == {(NEXT["tenant"], None, "active")}
    run = CommandLine.on(play.house.url)
    refused = await run("migrate")
    assert (refused.code, refused.out) == (1, "")
    assert is_one_line(refused.err)
    assert "newer than this program" in refused.err
    findings = {row["check"]: row for row in (await run("doctor", "--json")).rows}
    for check in ("registry", "migrations"):
        assert (findings[check]["level"], "an upgrade is under way" in findings[check]["detail"]) == (
            "warn",
            True,
        )


async def test_an_old_process_starts_on_organizations_that_alone_are_newer(tmp_path: Path) -> None:
    """A release without a migration of the registry."""
    async with stormy_town() as (play, _):
        with rolling.next_release(tmp_path):
            await migrate_tenants(play.house.database)
        port = free_port()
        with weather.running(play, program=rolling.serve, port=port) as old:
            async with rolling.watched(port) as answers:
                play.ask("@fleet n0")
                await weather.heard(play, 1, 40)
            assert {status for status, _ in answers} == {200}, answers
            [warned] = old.lines()
            assert (warned["event"], warned["count"]) == ("organizations are newer than this program", 2)
        rows = await play.house.rows("select schema_revision, schema_error, state from public.organizations")
        assert {tuple(row) for row in rows} == {(NEXT["tenant"], None, "active")}
