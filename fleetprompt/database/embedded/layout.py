"""Where everything of the embedded server lies, and who owns it.

data_dir/                    ours; made 0700, or as root 0711 so that the server's user may pass
  postgres/                  the same; written by us alone
    start.lock               held while somebody starts or stops the server
    holders.lock             held shared by each process that uses the server
    keeper.lock              held by the keeper; its content is the keeper's state
    server.lock              held by every process of the server, as an inherited descriptor
    postgresql.conf pg_hba.conf server.log
    server-<version>/        copied binaries, only when we run as root
    cluster/                 the data (PGDATA), 0700, owned by the server's user
    socket/                  the socket, 0700, owned by the server's user
    socket_dir               where the socket is instead when that path is too long
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fleetprompt.kernel.errors import Unavailable

PORT = 5432  # names the socket file only: the server listens on no network address
MAX_SOCKET_PATH_BYTES = 103  # sun_path holds 104 bytes with its NUL on macOS, 108 on Linux
ROOT_DATA_DIR = Path("/var/lib/fleetprompt")
USERS_INSTEAD_OF_ROOT = ("fleetprompt", "postgres", "nobody")  # the first that exists


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that the server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data directory."""

    data_dir: Path

    @property
    def home(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def config(self) -> Path:
        return self.home / "postgresql.conf"

    @property
    def access(self) -> Path:
        return self.home / "pg_hba.conf"

    @property
    def command(self) -> Path:
        """The server's command line (JSON), for a keeper that takes over a running server."""
        return self.home / "command"

    def lock(self, name: str) -> Path:
        return self.home / f"{name}.lock"

    def socket_dir(self) -> Path:
        """Where the socket is, or will be: in here, or elsewhere as recorded when the path is too long."""
        inside = self.home / "socket"
        if len(os.fsencode(socket_file(inside))) <= MAX_SOCKET_PATH_BYTES:
            return inside
        record = self.home / "socket_dir"
        return Path(record.read_text().strip()) if record.exists() else inside


def socket_file(socket_dir: Path) -> Path:
    return socket_dir / f".s.PGSQL.{PORT}"


def default_data_dir() -> Path:
    """Root keeps data where services do; a person keeps it with their own applications' data."""
    return ROOT_DATA_DIR if os.geteuid() == 0 else platformdirs.user_data_path("fleetprompt")


def prepare_data_dir(data_dir: Path) -> None:
    """Make the directory and what is missing above it; a directory that exists is left as it is."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    for path in (*reversed(data_dir.parents), data_dir):
        if not path.exists():
            path.mkdir(exist_ok=True)
            path.chmod(mode)


def server_account(layout: Layout) -> Account:
    """Ourselves; as root the owner of the data, and before there is any the first fitting system user."""
    if os.geteuid() != 0:
        entry = _entry(os.geteuid())
        return Account(entry.pw_name, os.geteuid(), os.getegid())
    owner = layout.cluster.stat().st_uid if layout.cluster.exists() else 0
    if owner:
        entry = _entry(owner)
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in USERS_INSTEAD_OF_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise Unavailable(
        "Postgres refuses to run as root, and this system has no user to run it as.",
        f"Create one: useradd --system {USERS_INSTEAD_OF_ROOT[0]}",
    )


def _entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise Unavailable(
            f"User id {uid} has no name on this system, and Postgres needs one.",
            "Add the user to /etc/passwd, or run FleetPrompt as another user.",
        ) from None


def prepare_home(layout: Layout) -> None:
    """Make `data_dir/postgres`."""
    prepare_data_dir(layout.data_dir)
    prepare_data_dir(layout.home)


def own_directory(path: Path, account: Account) -> None:
    """Make `path` a 0700 directory of the server's user."""
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)


def prepare_socket_dir(layout: Layout, account: Account) -> Path:
    """Make the socket's directory: in the data directory, or a short one elsewhere that is recorded there."""
    chosen = layout.socket_dir()
    if len(os.fsencode(socket_file(chosen))) > MAX_SOCKET_PATH_BYTES or not _is_ours(chosen, layout, account):
        chosen = _short_directory(account)
        (layout.home / "socket_dir").write_text(f"{chosen}\n")
    own_directory(chosen, account)
    return chosen


def _is_ours(path: Path, layout: Layout, account: Account) -> bool:
    """A directory in a shared place counts only if nobody else could have made or entered it."""
    if path.parent == layout.home:
        return True
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077


def _short_directory(account: Account) -> Path:
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > 60:
        parent = "/tmp"  # noqa: S108 (mkdtemp makes a private 0700 directory in it)
    path = Path(tempfile.mkdtemp(prefix="fleetprompt-", dir=parent))
    os.chown(path, account.uid, account.gid)
    return path


def check_reachable(path: Path, account: Account) -> None:
    """As root: can the server's user really enter this directory? Parents are never opened up by us."""
    if os.geteuid() != 0:
        return
    probe = ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)]
    found = subprocess.run(  # noqa: S603
        probe, user=account.uid, group=account.gid, extra_groups=[], capture_output=True, check=False, cwd="/"
    )
    if found.returncode != 0:
        raise Unavailable(
            f"Postgres runs as the user {account.name}, who cannot reach {path}.",
            f"Choose a data directory that this user can reach, such as {ROOT_DATA_DIR} (FLEETPROMPT_DATA_DIR).",
        )


def remove_socket_record(layout: Layout) -> None:
    """Forget a socket directory elsewhere, when the data directory is thrown away."""
    chosen = layout.socket_dir()
    if chosen.parent != layout.home:
        shutil.rmtree(chosen, ignore_errors=True)
