"""Bad days of the embedded server: full disks, damaged or foreign data, missing rights."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fleetprompt.database.embedded import EmbeddedPostgres, ServerAddress
from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.kernel.errors import Unavailable
from tests.database import reachable_directory
from tests.embedded import answers, started

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which takes root")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory / "data"


@pytest.fixture
async def stopped(data_dir: Path) -> Path:
    """The `postgres` directory of a server that was started and stopped."""
    async with started(data_dir):
        pass
    return data_dir / "postgres"


async def refusal(data_dir: Path, within_s: float = 30.0) -> str:
    """What start says when it cannot. It leaves nothing running or locked."""
    server = EmbeddedPostgres(data_dir)
    begun = monotonic_s()
    with pytest.raises(Unavailable) as caught:
        await server.start()
    assert monotonic_s() - begun < within_s
    assert server.keeper_pid() is None
    return str(caught.value)


async def test_damaged_data_is_named_with_the_servers_words_and_the_backup(stopped: Path) -> None:
    (stopped / "cluster/global/pg_control").write_bytes(b"\0" * 8192)
    said = await refusal(stopped.parent)
    assert "damaged: restore it from your backup" in said
    assert "LOG:" in said or "FATAL:" in said or "PANIC:" in said


async def test_a_missing_piece_of_data_is_damage_too(stopped: Path) -> None:
    (stopped / "cluster/global/pg_control").unlink()
    assert "damaged: restore it from your backup" in await refusal(stopped.parent)


async def test_a_directory_that_is_no_cluster_is_left_alone(stopped: Path) -> None:
    (stopped / "cluster/PG_VERSION").unlink()
    assert "PG_VERSION is missing" in await refusal(stopped.parent)
    assert (stopped / "cluster/global/pg_control").exists()


async def test_data_of_another_major_version_is_an_error_that_says_how_to_move_it(stopped: Path) -> None:
    (stopped / "cluster/PG_VERSION").write_text("15\n")
    said = await refusal(stopped.parent)
    assert "written by Postgres 15" in said
    assert "pg_dumpall" in said


async def test_a_setting_that_the_server_refuses_is_quoted(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings={"max_connections": "many"})
    with pytest.raises(Unavailable, match="max_connections"):
        await server.start()


async def test_a_start_that_failed_succeeds_once_the_cause_is_gone(stopped: Path) -> None:
    control = stopped / "cluster/global/pg_control"
    control.rename(stopped / "away")
    await refusal(stopped.parent)
    (stopped / "away").rename(control)
    async with started(stopped.parent):
        pass


async def test_explicit_binaries_that_do_not_run_are_an_error(data_dir: Path) -> None:
    with reachable_directory() as fake:
        _script(fake / "postgres", "echo 'error while loading shared libraries: libz.so.1' >&2; exit 127")
        server = EmbeddedPostgres(data_dir, bin_dir=fake)
        with pytest.raises(Unavailable, match="libz") as caught:
            await server.start()
        assert "Install what it misses" in str(caught.value)


async def test_explicit_binaries_that_are_too_old_are_refused(data_dir: Path) -> None:
    with reachable_directory() as fake:
        _script(fake / "postgres", "echo 'postgres (PostgreSQL) 15.4'")
        with pytest.raises(Unavailable, match="16 or newer"):
            await EmbeddedPostgres(data_dir, bin_dir=fake).start()


def _script(path: Path, words: str) -> None:
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)


async def test_a_data_directory_that_cannot_be_made_is_an_error_with_advice(data_dir: Path) -> None:
    _script(data_dir, "a file in the way")
    with pytest.raises(Unavailable, match="cannot be prepared"):
        await EmbeddedPostgres(data_dir / "below").start()


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    at.mkdir(mode=0o755)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", at], check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


@needs_root
async def test_a_disk_too_small_for_the_binaries_is_an_error_that_says_so(data_dir: Path) -> None:
    with small_disk(data_dir, 8):
        assert "The disk is full" in await refusal(data_dir)


@needs_root
async def test_a_disk_too_small_for_the_data_is_an_error_that_says_so_and_leaves_no_half_cluster(
    data_dir: Path,
) -> None:
    with small_disk(data_dir, 50):
        assert "The disk is full" in await refusal(data_dir)
        assert not (data_dir / "postgres/cluster").exists()
        assert not (data_dir / "postgres/cluster.partial").exists()


@needs_root
async def test_a_disk_that_fills_up_loses_nothing_that_was_committed(data_dir: Path) -> None:
    with small_disk(data_dir, 120):
        ballast = data_dir / "ballast"
        _fill(ballast, 16)
        async with started(data_dir) as server:
            address = await server.start()
            acknowledged = await _insert_until_it_fails(address)
            assert acknowledged > 0
            ballast.unlink()
            assert await answers(address, 20)
            assert await _count(address) >= acknowledged
            assert await _insert_until_it_fails(address, at_most=5) == 5


@needs_root
async def test_a_full_disk_at_a_warm_start_is_told_and_mended_by_freeing_space(data_dir: Path) -> None:
    with small_disk(data_dir, 120):
        async with started(data_dir):
            pass
        _fill(data_dir / "ballast", 200)
        said = await refusal(data_dir)
        assert "The disk is full" in said
        (data_dir / "ballast").unlink()
        async with started(data_dir):
            pass


def _fill(path: Path, megabytes: int) -> None:
    """Write so much, or all that there is room for."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for _ in range(megabytes * 256):
            file.write(b"\1" * 4096)


async def _insert_until_it_fails(address: ServerAddress, at_most: int = 10_000) -> int:
    """How many rows of 100 kB were acknowledged."""
    connection = await asyncpg.connect(**address.kwargs(), timeout=5)
    done = 0
    try:
        await connection.execute("create table if not exists filling (words text)")
        await connection.execute("alter table filling alter column words set storage external")
        while done < at_most:
            await connection.execute("insert into filling values (repeat('a', 100000))")
            done += 1
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pass
    finally:
        connection.terminate()
    return done


async def _count(address: ServerAddress) -> int:
    connection = await asyncpg.connect(**address.kwargs(), timeout=5)
    try:
        return int(await connection.fetchval("select count(*) from filling"))
    finally:
        await connection.close()


async def test_a_lost_socket_directory_is_made_again(stopped: Path) -> None:
    shutil.rmtree(stopped / "socket")
    async with started(stopped.parent):
        pass
