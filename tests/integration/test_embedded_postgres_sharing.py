"""Several processes, one embedded server; and what happens when one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fleetprompt.database.embedded import EmbeddedPostgres, Layout
from fleetprompt.database.embedded.layout import server_account
from fleetprompt.kernel.errors import Unavailable
from tests.database import reachable_directory
from tests.embedded import Holder, answers, eventually, lives, query, started


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory / "data"


async def test_a_second_process_joins_and_the_last_to_leave_stops_the_server(data_dir: Path) -> None:
    first = await Holder.start(data_dir)
    second = await Holder.start(data_dir)
    assert (first.postmaster, first.url) == (second.postmaster, second.url)
    await first.stop()
    assert lives(second.postmaster)
    await second.stop()
    assert not lives(second.postmaster)


async def test_two_processes_that_start_at_once_share_one_server(data_dir: Path) -> None:
    holders = await asyncio.gather(*(Holder.start(data_dir) for _ in range(3)))
    assert len({holder.postmaster for holder in holders}) == 1
    await asyncio.gather(*(holder.stop() for holder in holders))
    assert not lives(holders[0].postmaster)


async def test_a_start_during_a_stop_ends_with_a_server(data_dir: Path) -> None:
    for _ in range(5):
        leaving = await Holder.start(data_dir)
        _, joining = await asyncio.gather(leaving.stop(), Holder.start(data_dir))
        assert lives(joining.postmaster)
        await joining.stop()


async def test_the_server_outlives_a_killed_holder_long_enough_to_be_joined_again(data_dir: Path) -> None:
    holder = await Holder.start(data_dir)
    await holder.kill()
    async with started(data_dir) as server:
        assert server.postmaster_pid() == holder.postmaster


async def test_a_server_whose_holders_were_all_killed_is_stopped(data_dir: Path) -> None:
    holders = [await Holder.start(data_dir, grace_s=0.5) for _ in range(2)]
    for holder in holders:
        await holder.kill()
    assert await eventually(lambda: not lives(holders[0].postmaster))
    assert await eventually(lambda: not lives(holders[0].keeper))


async def test_a_killed_server_comes_back_under_its_holders_with_all_that_was_committed(
    data_dir: Path,
) -> None:
    async with started(data_dir) as server:
        address, before = await server.start(), server.postmaster_pid()
        await query(address, "create table mark as select 42 as answer")
        await server.kill()
        assert await answers(address)
        assert server.postmaster_pid() != before
        assert await query(address, "select answer from mark") == 42


async def test_it_comes_back_each_time(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        for _ in range(4):
            await server.kill()
            assert await answers(address)


async def test_a_killed_keeper_is_replaced_at_the_next_start_and_the_server_never_noticed(
    data_dir: Path,
) -> None:
    async with started(data_dir) as server:
        address, postmaster, keeper = await server.start(), server.postmaster_pid(), server.keeper_pid()
        assert keeper
        os.kill(keeper, signal.SIGKILL)
        assert await eventually(lambda: server.keeper_pid() is None)
        assert await query(address, "select 1") == 1
        await server.start()
        assert server.postmaster_pid() == postmaster
        assert server.keeper_pid() not in (None, keeper)
    assert await eventually(lambda: not lives(postmaster))


async def test_a_service_that_tends_its_server_replaces_a_killed_keeper(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address, keeper = await server.start(), server.keeper_pid()
        tending = asyncio.ensure_future(server.tend(every_s=0.05))
        os.kill(keeper or 0, signal.SIGKILL)
        assert await eventually(lambda: server.keeper_pid() not in (None, keeper))
        await server.kill()
        assert await answers(address)
        tending.cancel()
        await asyncio.wait([tending])


async def test_a_server_without_a_free_connection_is_an_error_that_says_so(data_dir: Path) -> None:
    async with started(data_dir, settings={"max_connections": "5", "autovacuum": "off"}) as server:
        address = await server.start()
        taken = [await asyncpg.connect(**address.kwargs()) for _ in range(2)]
        with pytest.raises(Unavailable, match="no connection left"):
            await EmbeddedPostgres(data_dir).start()
        for connection in taken:
            await connection.close()


async def test_the_last_holder_stops_the_server_also_without_a_keeper(data_dir: Path) -> None:
    async with started(data_dir) as server:
        postmaster, keeper = server.postmaster_pid(), server.keeper_pid()
        assert keeper
        os.kill(keeper, signal.SIGKILL)
    assert not lives(postmaster)


async def test_an_adopted_server_that_is_killed_comes_back_too(data_dir: Path) -> None:
    async with started(data_dir) as server:
        address = await server.start()
        os.kill(server.keeper_pid() or 0, signal.SIGKILL)
        await eventually(lambda: server.keeper_pid() is None)
        await server.start()
        await server.kill()
        assert await answers(address)


async def test_when_everything_was_killed_at_once_the_next_start_recovers(data_dir: Path) -> None:
    holder = await Holder.start(data_dir)
    for pid in (holder.keeper, holder.postmaster):
        os.kill(pid, signal.SIGKILL)
    await holder.kill()
    async with started(data_dir) as server:
        assert server.postmaster_pid() != holder.postmaster
        assert await query(await server.start(), "select 1") == 1


async def test_a_pid_that_a_stranger_got_since_is_neither_believed_nor_harmed(data_dir: Path) -> None:
    async with started(data_dir):
        pass
    account = server_account(Layout(data_dir))
    drop: dict[str, Any] = {"user": account.uid, "group": account.gid} if os.geteuid() == 0 else {}
    stranger = await asyncio.create_subprocess_exec("sleep", "60", **drop)
    _leave_stale_files(data_dir, stranger.pid)
    async with started(data_dir) as server:
        assert server.postmaster_pid() != stranger.pid
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


def _leave_stale_files(data_dir: Path, pid: int) -> None:
    """As a power cut leaves them, when the pid has been given to another program since."""
    home = data_dir / "postgres"
    stale = f"{pid}\n{home / 'cluster'}\n1700000000\n5432\n{home / 'socket'}\n\n  1234567   0\nready   \n"
    (home / "cluster/postmaster.pid").write_text(stale)
    (home / "socket/.s.PGSQL.5432.lock").write_text(stale)
    (home / "socket/.s.PGSQL.5432").touch()


async def test_two_shares_in_one_process_count_as_two(data_dir: Path) -> None:
    async with started(data_dir) as first:
        async with started(data_dir):
            pass
        assert await query(await first.start(), "select 1") == 1
    assert EmbeddedPostgres(data_dir).keeper_pid() is None
