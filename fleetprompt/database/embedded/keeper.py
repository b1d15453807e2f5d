"""The keeper: a tiny process that runs the server for as long as somebody holds a share of it.

Started by path, `python -I -S keeper.py ORDER`, so it uses the standard library only and outlives whoever started it
(a service killed with SIGKILL included). It never trusts a pid: the kernel releases locks (flock) when a process dies,
so a lock that is held is the proof of life.

- `keeper.lock`, exclusive: one keeper. Content: JSON {"pid", "ready", "failures"}.
- `server.lock`, exclusive, inherited by each process of the server: free = no process of it is left, so its pid file is stale.
- `holders.lock`, shared by each process that uses the server: nobody = stop the server after `grace_s`.
- `start.lock`: held while starting (by whoever starts) and while stopping (by the keeper).

A crashed server is started again while there are holders. SIGTERM means: no grace. If the keeper itself is killed, the server lives on,
and the next process that starts or stops it makes a new keeper, which adopts the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

POLL_S: Final = 0.5
STEP_S: Final = 0.02
ORPHANS_S: Final = 30.0
FAST_STOP_S: Final = 10.0  # SIGINT: sessions end, a checkpoint is written
IMMEDIATE_STOP_S: Final = 3.0  # SIGQUIT: recovery at the next start
RECOVERY_S: Final = 300.0
RESTART_PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ALREADY_KEPT: Final = 3  # exit status


def try_lock(path: str, kind: int = fcntl.LOCK_EX) -> int | None:
    """Take the lock if it is free: the descriptor that holds it, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: str) -> bool:
    """Does a living process hold the lock?"""
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def ask(socket_path: str, timeout_s: float = 2.0) -> str:
    """What the server says to a login as `postgres`: "ready", "busy" (starting, stopping, full) or "silent"."""
    pairs = b"user\0postgres\0database\0postgres\0application_name\0fleetprompt keeper\0\0"
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(socket_path)
            line.sendall(struct.pack("!II", len(pairs) + 8, 196608) + pairs)  # protocol 3.0
            answer = line.recv(1)
            if answer == b"R":
                line.sendall(b"X\0\0\0\4")  # terminate, politely
        except OSError:
            return "silent"
    return {b"R": "ready", b"E": "busy"}.get(answer, "silent")


class Keeper:
    """One server, from its start or adoption to its stop."""

    def __init__(self, order: dict[str, Any], keeper_lock: int) -> None:
        self.order = order
        self.home = Path(order["home"])
        self.cluster = Path(order["cluster"])
        self.socket_path: str = order["socket"]
        self.keeper_lock = keeper_lock
        self.child: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.unheld_since: float | None = None
        self.in_a_hurry = False
        self.wake_read, self.wake_write = os.pipe()

    def lock(self, name: str) -> str:
        return str(self.home / f"{name}.lock")

    def run(self) -> None:
        """Start or adopt, then watch until nobody is left. Returns when the server is down or never came up."""
        self.listen_to_signals()
        self.record(ready=False)
        if not self.come_up(may_start=not self.order["adopt_only"]):
            return
        while True:
            self.pause(STEP_S if self.in_a_hurry else POLL_S)
            if not self.server_lives():
                if not self.is_wanted() or not self.restart():
                    return
            elif self.is_overdue() and self.close():
                return

    def listen_to_signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.set_blocking(self.wake_write, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.hurry)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)

    def hurry(self, *_: object) -> None:
        self.in_a_hurry = True

    def pause(self, seconds: float) -> None:
        """Sleep, but wake for a signal."""
        if select.select([self.wake_read], [], [], seconds)[0]:
            os.read(self.wake_read, 4096)

    def record(self, ready: bool) -> None:
        state = json.dumps({"pid": os.getpid(), "ready": ready, "failures": self.failures}).encode()
        os.pwrite(self.keeper_lock, state.ljust(96), 0)

    def server_lives(self) -> bool:
        """Is any process of the server left? After a crash its sessions take a moment to notice."""
        if self.child is not None:
            if self.child.poll() is None:
                return True
            self.child = None
            deadline = time.monotonic() + ORPHANS_S
            while is_held(self.lock("server")) and time.monotonic() < deadline:
                self.pause(STEP_S)
        return is_held(self.lock("server")) or ask(self.socket_path) != "silent"

    def is_ready(self) -> bool:
        """Asks only when the server itself says so, for each refused login is a line in its log."""
        try:
            status = (self.cluster / "postmaster.pid").read_text().split("\n")[7]
        except (OSError, IndexError):
            return False
        return status.strip() == "ready" and ask(self.socket_path) == "ready"

    def is_wanted(self) -> bool:
        return is_held(self.lock("holders"))

    def is_overdue(self) -> bool:
        """Has nobody held a share for the time of grace?"""
        if self.is_wanted():
            self.unheld_since = None
            self.in_a_hurry = False
            return False
        now = time.monotonic()
        self.unheld_since = self.unheld_since if self.unheld_since is not None else now
        return self.in_a_hurry or now - self.unheld_since >= self.order["grace_s"]

    def come_up(self, may_start: bool = True) -> bool:
        """Adopt the server that runs, or start one, once; wait for its first answer."""
        launched = False
        deadline = time.monotonic() + RECOVERY_S
        while time.monotonic() < deadline:
            if self.is_ready():
                self.failures = 0
                self.record(ready=True)
                return True
            if not self.server_lives():
                if launched or not may_start:
                    return False
                launched = self.launch()
            self.pause(STEP_S)
        return False

    def launch(self) -> bool:
        """Run the server with server.lock as its heirloom. Its lock was free, so what an earlier one left is stale."""
        heirloom = try_lock(self.lock("server"))
        if heirloom is None:
            return False
        socket_path = Path(self.socket_path)
        for stale in (
            self.cluster / "postmaster.pid",
            socket_path,
            socket_path.with_name(socket_path.name + ".lock"),
        ):
            stale.unlink(missing_ok=True)
        try:
            self.child = subprocess.Popen(  # noqa: S603
                self.order["command"],
                stdin=subprocess.DEVNULL,
                pass_fds=[heirloom],
                cwd="/",
                start_new_session=True,
                **self.drop(),
            )
        finally:
            os.close(heirloom)
        return True

    def drop(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.order["uid"], "group": self.order["gid"], "extra_groups": []}

    def restart(self) -> bool:
        """The server crashed under its holders: start it again, with growing pauses, until it is up or unwanted."""
        self.record(ready=False)
        while not self.come_up():
            self.pause(RESTART_PAUSES_S[min(self.failures, len(RESTART_PAUSES_S) - 1)])
            self.failures += 1
            self.record(ready=False)
            if not self.is_wanted():
                return False
        return True

    def close(self) -> bool:
        """Stop the server, unless somebody starts or joined meanwhile."""
        starting = try_lock(self.lock("start"))
        if starting is None:
            return False
        try:
            if self.is_wanted():
                return False
            self.stop_server()
            os.close(self.keeper_lock)  # before start.lock, so that the next to start finds no keeper
            return True
        finally:
            os.close(starting)

    def stop_server(self) -> None:
        for number, patience_s in (
            (signal.SIGINT, FAST_STOP_S),
            (signal.SIGQUIT, IMMEDIATE_STOP_S),
            (signal.SIGKILL, 1.0),
        ):
            self.send(number)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not self.server_lives():
                    return
                self.pause(STEP_S)

    def send(self, number: signal.Signals) -> None:
        """Signal the server: our child, or the adopted one by its pid file, with no more rights than its user has."""
        if self.child is not None:
            self.child.send_signal(number)
            return
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n")[0])
            command = ["/bin/kill", f"-{number.value}", str(pid)]
            subprocess.run(command, check=False, capture_output=True, **self.drop())  # noqa: S603


def detach(log: str) -> None:
    """Become a process of our own: no terminal, no parent, nothing of theirs but the lock that we hold."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


def main() -> None:
    order = json.loads(sys.argv[1])
    lock = try_lock(str(Path(order["home"]) / "keeper.lock"))
    if lock is None:
        sys.exit(ALREADY_KEPT)
    detach(order["log"])
    Keeper(order, lock).run()


if __name__ == "__main__":
    main()
