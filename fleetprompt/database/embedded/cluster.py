"""Making the data directory of Postgres, its configuration, and our role and database in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg

from fleetprompt.database.embedded.binaries import Binaries
from fleetprompt.database.embedded.layout import PORT, Account, Layout, own_directory
from fleetprompt.kernel.errors import Unavailable

SUPERUSER: Final = "postgres"
ROLE: Final = "fleetprompt"
DATABASE: Final = "fleetprompt"

# Small: about 20 MB when idle. Errors are not logged: their text and detail can quote a message body.
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    # With "minimal" a commit opens four files for each table and index that it made: a tenth of making an organization.
    "wal_level": "replica",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "dynamic_shared_memory_type": "mmap",  # containers give /dev/shm 64 MB, and a kill -9 would leave files there
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_lock_waits": "off",
    "log_line_prefix": "%m [%p] ",
    "restart_after_crash": "on",
}
ACCESS: Final = (
    "# The socket's directory is 0700: who can reach the socket is the owner.\nlocal all all trust\n"
)


def clean_environment() -> dict[str, str]:
    """What the server and its tools get to see: neither our secrets nor somebody's PG* variables."""
    kept = {
        name: os.environ[name]
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
        if name in os.environ
    }
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **kept}


def written_major(layout: Layout) -> int | None:
    """The major version that wrote the data; None when there is none yet. Raises Unavailable for foreign files."""
    version = layout.cluster / "PG_VERSION"
    if version.exists():
        return int(version.read_text().strip())
    if layout.cluster.exists() and any(layout.cluster.iterdir()):
        raise Unavailable(
            f"{layout.cluster} is not a Postgres data directory: PG_VERSION is missing.",
            "Restore it from your backup, or move it away to begin with an empty database.",
        )
    return None


def create(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Run initdb beside the final place and move it there, so that a half-made cluster is never found."""
    draft = layout.home / "cluster.partial"
    shutil.rmtree(draft, ignore_errors=True)
    own_directory(draft, account)
    drop: dict[str, Any] = {}
    if os.geteuid() == 0:
        drop = {"user": account.uid, "group": account.gid, "extra_groups": []}
    made = subprocess.run(  # noqa: S603
        initdb_command(binaries, draft),
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **drop,
    )
    if made.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise failure("Postgres could not make its data directory", made.stderr + made.stdout, layout)
    if layout.cluster.exists():
        layout.cluster.rmdir()
    draft.rename(layout.cluster)


def initdb_command(binaries: Binaries, cluster: Path) -> list[str]:
    """The provider `builtin` came with Postgres 17; the plain C locale sorts the same, by code point."""
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else ["--locale=C"]
    )
    return [
        binaries.path("initdb"),
        f"--pgdata={cluster}",
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        *locale,
        "--data-checksums",
        "--wal-segsize=4",
        "--no-instructions",
    ]


def configure(layout: Layout, major: int, socket_dir: Path, settings: Mapping[str, str]) -> None:
    """Write the configuration anew, as this version wants it; ALTER SYSTEM still overrides it."""
    io = {"io_method": "sync"} if major >= 18 else {}  # the default runs three more processes
    values = {
        **SETTINGS,
        **io,
        "unix_socket_directories": _listed(socket_dir),
        "hba_file": str(layout.access),
        **settings,
    }
    lines = ["# Written by FleetPrompt at each start. Use ALTER SYSTEM to change a setting."]
    lines += [f"{name} = '{_quoted(value)}'" for name, value in values.items()]
    layout.config.write_text("\n".join(lines) + "\n")
    layout.access.write_text(ACCESS)
    for path in (layout.config, layout.access):
        path.chmod(0o644)


def _listed(path: Path) -> str:
    """One entry of a list setting: in double quotes, so that a comma or space in a path is part of it."""
    return '"' + str(path).replace('"', '""') + '"'


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


async def provision(socket_dir: Path) -> None:
    """Make the role and its database, if they are missing. The role has what an own server's owner would give it."""
    login = {"host": str(socket_dir), "port": PORT, "user": SUPERUSER, "database": "postgres", "timeout": 10}
    connection = await asyncpg.connect(**login)
    try:
        if not await connection.fetchval("select true from pg_roles where rolname = $1", ROLE):
            await connection.execute(f"create role {ROLE} login nosuperuser createrole createdb")
        if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE} owner {ROLE} template template0")
    finally:
        await connection.close()


def failure(what: str, said: str, layout: Layout) -> Unavailable:
    """An error with the last lines that the server or its tool said, and advice that fits them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()][-8:]
    words = "\n  ".join(lines) if lines else "(it said nothing)"
    return Unavailable(f"{what}. It said:\n  {words}\n", advice_for(said, layout))


def advice_for(said: str, layout: Layout) -> str:
    """Advice by what Postgres says; the texts are those of its own sources in English (LC_ALL=C)."""
    for phrases, advice in _ADVICE:
        if any(phrase in said for phrase in phrases):
            return advice.format(data_dir=layout.data_dir, cluster=layout.cluster, log=layout.log)
    return f"See {layout.log}."


_ADVICE: Final = (
    (
        ("No space left on device", "Disk quota exceeded"),
        "The disk is full: free space on the file system of {data_dir} and start again; no committed data is lost.",
    ),
    (("Read-only file system",), "Mount the file system of {data_dir} for writing."),
    (
        ("Permission denied", "has wrong ownership", "Operation not permitted"),
        "Give {cluster} back to the user that Postgres runs as (chown -R), with mode 0700.",
    ),
    (("loading shared libraries", "Library not loaded"), "Install the missing system library."),
    (
        ("Cannot allocate memory", "could not create shared memory"),
        "Free some memory, or raise the system's limits on shared memory.",
    ),
    (
        (
            "checksum",
            "database files are incompatible",
            "invalid page",
            "could not locate a valid checkpoint",
            "could not locate required checkpoint",
            "could not open file",
            "could not read file",
            "is corrupt",
            "could not find",
        ),
        "The data in {cluster} is damaged: restore it from your backup (move the damaged directory away, do not delete it).",
    ),
)
