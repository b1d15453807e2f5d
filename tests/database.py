"""Databases for tests: one server for the whole run, a new empty database for whoever asks.

The server is embedded, in a temporary directory that all processes of the run share (pytest-xdist's workers too);
the last process to leave stops it and removes the directory. With FLEETPROMPT_DATABASE_URL the databases are made on
that server instead.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import URL, make_url

from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.database.embedded.keeper import try_lock

# A test never survives a power cut, so the disk need not be waited for.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "checkpoint_timeout": "1h"}
ROOM_BYTES = 4_000_000_000

_run: _Run | None = None
_before_drop: list[Callable[[str], Awaitable[None]]] = []


def before_drop(look: Callable[[str], Awaitable[None]]) -> None:
    """Have every database looked at (by its URL) before it is dropped, unless its test failed."""
    _before_drop.append(look)


@contextlib.asynccontextmanager
async def fresh_database(template: str = "template0") -> AsyncIterator[str]:
    """The SQLAlchemy URL of a new database, owned by the role that it names; dropped afterwards. Empty, or a copy."""
    server = await server_url()
    name = _new_name()
    # Copying files takes a third of the time that copying through the log takes, with fsync off.
    await execute(server, f"create database {name} template {template} strategy file_copy")
    try:
        url = server.set(database=name).render_as_string(hide_password=False)
        yield url
        for look in _before_drop:
            await look(url)
    finally:
        await _drop(server, name)


async def template_database(fill: Callable[[str], Awaitable[None]]) -> str:
    """The name of a database for `fresh_database` to copy, kept until the process ends. fill: is given its URL."""
    server = await server_url()
    name = _new_name()
    await execute(server, f"create database {name} template template0 strategy file_copy")
    atexit.register(_forget, server, name)
    await fill(server.set(database=name).render_as_string(hide_password=False))
    await execute(server, f"alter database {name} with allow_connections false")
    return name


def _new_name() -> str:
    return f"test_{os.getpid()}_{uuid4().hex[:12]}"


def _forget(server: URL, name: str) -> None:
    """The embedded server goes with its directory; one's own may be gone as well."""
    if "FLEETPROMPT_DATABASE_URL" in os.environ:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            asyncio.run(_drop(server, name))


async def _drop(server: URL, name: str) -> None:
    """By force, but that ends at an autovacuum there, which belongs to nobody; without it, Postgres sends that away."""
    for force in (" with (force)", "", " with (force)"):
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
            return await execute(server, f"drop database {name}{force}")
    return await execute(server, f"drop database {name} with (force)")


async def server_url() -> URL:
    """The URL of the run's server and of a database on it that exists; starts the embedded server at first use."""
    own = os.environ.get("FLEETPROMPT_DATABASE_URL")
    if own:
        return make_url(own).set(drivername="postgresql+asyncpg")
    global _run
    if _run is None:
        _run = _Run.join()
    return make_url((await _run.server.start()).url())


async def execute(url: URL | str, sql: str) -> None:
    """Run one statement on a connection of its own, outside a transaction."""
    connection = await asyncpg.connect(**asyncpg_arguments(make_url(url)))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def asyncpg_arguments(url: URL) -> dict[str, Any]:
    """What asyncpg.connect takes, from an SQLAlchemy URL of either form: host in front or in the query."""
    given: dict[str, Any] = {"user": url.username, "password": url.password, "database": url.database}
    given |= {"host": url.host, "port": url.port, **url.query}
    if given["port"]:
        given["port"] = int(given["port"])
    return {name: value for name, value in given.items() if value is not None}


class _Run:
    """This process's share of the run's directory and of the server in it."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self.lock = lock
        self.server = EmbeddedPostgres(directory, settings=SETTINGS, grace_s=3.0)
        atexit.register(self.leave)

    @classmethod
    def join(cls) -> _Run:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"pid{os.getpid()}")
        _sweep()
        directory = _temporary() / f"fleetprompt-tests-{os.geteuid()}-{run}"
        return cls(directory, _share_of(directory.with_suffix(".lock")))

    def leave(self) -> None:
        """Stop the server and remove the directory, if nobody else of this run is left."""
        asyncio.run(self.server.stop())
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.with_suffix(".lock").unlink(missing_ok=True)
        os.close(self.lock)


def _sweep() -> None:
    """Remove what killed runs left: directories of this user whose lock nobody holds."""
    for path in _temporary().glob(f"fleetprompt-tests-{os.geteuid()}-*.lock"):
        lock = try_lock(str(path))
        if lock is not None:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
            os.close(lock)


def _share_of(path: Path) -> int:
    """Hold the lock shared. Whoever removes the file holds it alone, so a lock on a removed file is tried anew."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if path.exists() and os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
        os.close(lock)


def _temporary() -> Path:
    """Memory instead of a disk where there is plenty: initdb waits for the disk most of its time."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        return memory
    return Path(tempfile.gettempdir())


@contextlib.contextmanager
def reachable_directory(prefix: str = "fleetprompt-test-") -> Iterator[Path]:
    """A temporary directory that the server's user can pass, unlike pytest's own (0700) when root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=_temporary()))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
