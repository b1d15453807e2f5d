"""Starting a keeper: what the server needs is prepared first, under start.lock."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from fleetprompt.database.embedded import cluster, keeper
from fleetprompt.database.embedded.binaries import find, within_reach
from fleetprompt.database.embedded.layout import (
    Account,
    Layout,
    check_reachable,
    prepare_socket_dir,
    server_account,
    socket_file,
)
from fleetprompt.kernel.errors import Unavailable

LOG_BYTES: Final = 5_000_000  # the older half of the log is kept beside it

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the server of one data directory is to be run."""

    layout: Layout
    bin_dir: Path | None
    settings: Mapping[str, str]
    grace_s: float

    def spawn_keeper(self) -> None:
        """Prepare what is missing and start a keeper, which adopts the server or starts it. Raises Unavailable."""
        translated(lambda: self._spawn(adopt_only=False), self.layout)

    def spawn_adopting_keeper(self) -> None:
        """A keeper for a server that lost its own: it starts nothing."""
        translated(lambda: self._spawn(adopt_only=True), self.layout)

    def _spawn(self, adopt_only: bool) -> None:
        account = server_account(self.layout)
        if not adopt_only and not keeper.is_held(str(self.layout.lock("server"))):
            self._prepare(account)
        order = json.dumps(self._order(account, adopt_only))
        subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", keeper.__file__, order],
            env=cluster.clean_environment(),
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _prepare(self, account: Account) -> None:
        """Binaries within reach, a cluster of their version, its configuration, the socket's directory."""
        place = self.layout
        check_reachable(place.home, account)
        binaries = within_reach(find(self.bin_dir, cluster.written_major(place)), place, account)
        if cluster.written_major(place) is None:
            cluster.create(place, binaries, account)
        cluster.configure(place, binaries.major, prepare_socket_dir(place, account), self.settings)
        place.command.write_text(
            json.dumps(
                [binaries.path("postgres"), "-D", str(place.cluster), "-c", f"config_file={place.config}"]
            )
        )
        if size(place.log) > LOG_BYTES:
            place.log.rename(place.log.with_name("server.log.1"))

    def _order(self, account: Account, adopt_only: bool) -> dict[str, Any]:
        place = self.layout
        return {
            "home": str(place.home),
            "cluster": str(place.cluster),
            "socket": str(socket_file(place.socket_dir())),
            "log": str(place.log),
            "command": json.loads(place.command.read_text()),
            "uid": account.uid,
            "gid": account.gid,
            "grace_s": self.grace_s,
            "adopt_only": adopt_only,
        }


def translated(work: Callable[[], T], layout: Layout) -> T:
    """Run it; what the system refuses becomes an error with advice."""
    try:
        return work()
    except OSError as error:
        where = error.filename or layout.data_dir
        said = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in (errno.EACCES, errno.EPERM):
            advice = f"Choose a data directory that you may write to (FLEETPROMPT_DATA_DIR), or become the owner of {layout.data_dir}."
        else:
            advice = cluster.advice_for(said, layout)
        raise Unavailable(f"The embedded database cannot be prepared: {where}: {said}.", advice) from error


def failed(layout: Layout, what: str, log_from: int) -> Unavailable:
    """The error of a server that did not come up, with what it logged since `log_from` (a size in bytes)."""
    return cluster.failure(what, _tail(layout.log, log_from), layout)


def _tail(log: Path, start: int) -> str:
    if size(log) < start:  # rotated meanwhile
        start = 0
    try:
        with log.open("rb") as file:
            file.seek(max(start, size(log) - 4000))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def size(path: Path) -> int:
    """In bytes; 0 for a file that is not there."""
    return path.stat().st_size if path.exists() else 0
