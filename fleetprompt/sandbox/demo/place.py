"""Where the demo keeps its things, so that the next run starts fast: `.demo/` in the working directory.

.demo/
  lock                held while a demo plays here
  settled.json        what the last run left in order: the database's directory, the sandbox's port
  bridge.pem          the sandbox mailbox's certificate
  mattermost.jsonl    the sandbox Mattermost's accounts and posts
  fleetprompt.log     what FleetPrompt logged in the last run
  data-<random>/      FLEETPROMPT_DATA_DIR

The database and the sandbox belong together: the one knows the other's token, address and posts. A run that did not
end in order leaves no `settled.json`, and the next one starts from nothing. As root the server's user may be unable to
pass the directories above; then the database lies below /var/lib/fleetprompt/demo.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fleetprompt.database.embedded.keeper import is_held
from fleetprompt.database.embedded.layout import (
    ROOT_DATA_DIR,
    Layout,
    check_reachable,
    prepare_data_dir,
    server_account,
)
from fleetprompt.kernel.errors import Conflict, Unavailable
from fleetprompt.sandbox.loopback import HOST

VERSION: Final = 4  # raise it when `setting` makes something else
HOME: Final = ".demo"
LEAVING_S: Final = 15.0  # a server whose demo was killed stops by itself within ten seconds


@dataclass(frozen=True, slots=True)
class Place:
    """One demo's files. port: where the sandbox Mattermost listened, 0 = anywhere."""

    home: Path
    data_dir: Path
    port: int = 0

    @property
    def is_new(self) -> bool:
        """There is nothing yet: no organization, no installation, no account."""
        return self.port == 0

    @property
    def log(self) -> Path:
        return self.home / "fleetprompt.log"

    @property
    def certificate(self) -> Path:
        return self.home / "bridge.pem"

    @property
    def posts(self) -> Path:
        return self.home / "mattermost.jsonl"

    def settle(self, port: int) -> None:
        """Everything is in order: the next run may go on from here."""
        state = {"version": VERSION, "data_dir": str(self.data_dir), "port": port}
        partial = self.home / "settled.json.partial"
        partial.write_text(json.dumps(state) + "\n")
        partial.replace(self.home / "settled.json")


@contextlib.contextmanager
def held_place(home: Path) -> Iterator[Place]:
    """The place of one run at a time. Raises Conflict while another demo plays there, Unavailable if it cannot be."""
    try:
        prepare_data_dir(home)
        lock = (home / "lock").open("a")
    except OSError as error:
        advice = "Run it in a directory that you may write to."
        raise Unavailable(f"The demo cannot keep its files in {home}: {error.strerror}.", advice) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"A demo plays in {home} already.", "Leave it with /quit, or wait.") from None
        yield _settled(home) or _fresh(home)


def _settled(home: Path) -> Place | None:
    """What the last run left in order; taken, so that only a run that ends in order leaves it again."""
    path = home / "settled.json"
    try:
        state: Any = json.loads(path.read_text())
        path.unlink()
        place = Place(home, Path(state["data_dir"]), int(state["port"]))
        is_ours = state["version"] == VERSION and place.posts.exists() and place.data_dir.is_dir()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The installation knows the sandbox by its address, so it needs the same one again.
    return place if is_ours and is_free(place.port) else None


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def _fresh(home: Path) -> Place:
    """Nothing of an earlier run."""
    (home / "mattermost.jsonl").unlink(missing_ok=True)
    for start in data_dir_starts(home):
        for old in start.parent.glob(f"{start.name}*"):
            _remove(old)
    for start in data_dir_starts(home):
        data_dir = start.with_name(start.name + secrets.token_hex(3))
        prepare_data_dir(data_dir)
        if _can_serve(data_dir):
            return Place(home, data_dir)
        data_dir.rmdir()
    raise Unavailable(
        f"Postgres's user can reach neither {home} nor {ROOT_DATA_DIR}.", "Run the demo as a person."
    )


def data_dir_starts(home: Path) -> tuple[Path, ...]:
    """How the paths of its databases begin, the better place first."""
    inside = home / "data-"
    if os.geteuid() != 0:
        return (inside,)
    mine = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return inside, ROOT_DATA_DIR / "demo" / f"{mine}-"


def _can_serve(data_dir: Path) -> bool:
    try:
        check_reachable(data_dir, server_account(Layout(data_dir)))
    except Unavailable:
        return False
    return True


def _remove(data_dir: Path) -> None:
    """Throw a database away, once its server has stopped."""
    lock = Layout(data_dir).lock("keeper")
    deadline = time.monotonic() + LEAVING_S
    while lock.exists() and is_held(str(lock)) and time.monotonic() < deadline:
        time.sleep(0.1)
    shutil.rmtree(data_dir, ignore_errors=True)
