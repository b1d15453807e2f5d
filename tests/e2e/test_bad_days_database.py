"""Postgres goes away, comes back, or has no room left: nothing that was acknowledged is lost, and work goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.doctor import examine
from tests import weather
from tests.database import reachable_directory
from tests.house import embedded_house
from tests.small_disk import fill, small_disk
from tests.town import Town
from tests.weather import said, stormy_town

pytestmark = pytest.mark.slow

PATIENCE_S = 120  # tries that met the outage wait ever longer, and a busy machine makes more of them
AWAY = {"job.failed", "job.not_recorded"}
"""A job that was cut off says so, and is tried again."""
CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
FULL = {
    "job.failed",
    "job.not_recorded",
    "worker.loop_failed",
    "line.not_stored",
    "line.failed",
    "broker.failed",
    "health.not_written",
}
"""What may be an error while the disk is full."""


async def _all_answered_once(play: Town, count: int) -> None:
    await weather.heard(play, count, PATIENCE_S)
    await play.settled()
    texts = " ".join(text for _, text in said(play)).replace("\n", " ").split()
    assert [n for n in range(count) if f"n{n}" not in texts] == []
    assert play.doubled() == []


async def test_all_sessions_are_cut_again_and_again_under_load() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play) as service:
            service.expected |= AWAY
            await weather.connected(play)
            for n in range(20):
                play.ask(f"@fleet n{n}")
                if n % 3 == 0:
                    await play.house.rows(CUT)
                await asyncio.sleep(0.08)
            await _all_answered_once(play, 20)


@contextlib.asynccontextmanager
async def own_town(data_dir: Path) -> AsyncIterator[tuple[Town, EmbeddedPostgres]]:
    """A town whose service keeps its data there, as one without any setting does."""
    server = EmbeddedPostgres(data_dir, settings={"max_wal_size": "32MB"}, grace_s=1.0)
    try:
        where: dict[str, Any] = {"database_url": None, "data_dir": data_dir}
        async with stormy_town(house=embedded_house(server), **where) as (play, _):
            yield play, server
    finally:
        await server.stop()


async def test_the_embedded_server_is_restarted_and_killed_under_load() -> None:
    with reachable_directory() as directory:
        async with own_town(directory / "data") as (play, server):
            with weather.running(play) as service:
                service.expected |= AWAY
                await weather.connected(play)
                for n in range(16):
                    play.ask(f"@fleet n{n}")
                    if n == 4:
                        await server.restart()
                    if n == 10:
                        await server.kill()
                    await asyncio.sleep(0.1)
                await _all_answered_once(play, 16)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which takes root")
async def test_a_full_disk_is_said_and_once_there_is_room_everything_is_answered() -> None:
    with reachable_directory() as directory, small_disk(directory / "data", 160) as data_dir:
        async with own_town(data_dir) as (play, _):
            with weather.running(play) as service:
                service.expected |= FULL
                await weather.connected(play)
                before = [play.ask(f"@fleet n{n}") for n in range(3)]
                await play.answered(*before)
                ballast = data_dir / "ballast"
                fill(ballast, 1000)
                for n in range(3, 15):
                    play.ask(f"@fleet n{n} " + "many words " * 1400)
                    await asyncio.sleep(0.05)
                await asyncio.sleep(1.5)
                findings = [finding async for finding in examine(play.settings)]
                disk = next(finding for finding in findings if finding.check == "disk")
                assert disk.level == "fail"
                assert "Make room" in disk.remedy
                ballast.unlink()
                await _all_answered_once(play, 15)
