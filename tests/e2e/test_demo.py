"""`fleetprompt demo` as a newcomer starts it: in a directory of its own, with and without a terminal."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fleetprompt.sandbox.demo.place import data_dir_starts, held_place

DEMO: Final = (sys.executable, "-m", "fleetprompt", "demo")
RUN_S: Final = 110.0
LOOK_S: Final = 40.0
ID: Final = r"[a-z0-9]{26}"  # of a post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A working directory below one that only its owner may pass; what a demo leaves is removed."""
    tmp_path.chmod(0o700)
    clone = tmp_path / "clone"
    clone.mkdir()
    yield clone
    assert left_running(clone) == []
    with held_place(clone / ".demo") as place:
        shutil.rmtree(place.data_dir)


def left_running(clone: Path) -> list[str]:
    """Command lines of processes that belong to the demo of this directory (where the system tells)."""
    words = (os.fsencode(clone), *map(os.fsencode, data_dir_starts(clone / ".demo")))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            told = command + (process / "environ").read_bytes()
        except OSError:
            continue
        if any(word in told for word in words) and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def environment() -> dict[str, str]:
    """A newcomer's; what a person has set for a FleetPrompt of their own must not reach the demo."""
    return os.environ | {
        "FLEETPROMPT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "FLEETPROMPT_MODEL": "openai:none",
    }


def play(clone: Path) -> str:
    """The demo without a terminal; what it printed."""
    done = subprocess.run(
        DEMO,
        cwd=clone,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_demo_keeps_every_message_through_a_kill_and_starts_faster_the_next_time(clone: Path) -> None:
    first = play(clone)
    _assert_scene(first)
    assert "First start" in first
    assert left_running(clone) == []
    _assert_advice_works(clone, first)

    second = Terminal(clone)
    try:
        shown = second.until("you> ")
        _assert_scene(shown)
        assert "First start" not in shown
        _assert_conversation(second)
        second.type("/quit")
        assert second.ended() == 0
    finally:
        second.close()
    assert left_running(clone) == []


def _assert_scene(shown: str) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*[mK]", "", shown)
    assert re.search(r"kill -9 \d+: FleetPrompt is gone", shown)
    assert len(re.findall(r"lost 0, doubled 0, .* 0 +ok", shown)) == 3, shown
    assert "(in the thread of her mail)" in shown
    for piece in ("@fleet where is order 1042?", "Walnut desk", "put it on hold because the customer moved"):
        assert piece in shown
    for piece in ("chat.message.received", "execution", "directive", "mattermost.post.create"):
        assert piece in shown, f"the trace does not show {piece}"
    assert max(map(len, shown.replace("\r", "\n").splitlines())) <= 130  # paths in commands may be long
    assert "Traceback" not in shown


def _assert_advice_works(clone: Path, shown: str) -> None:
    """Every line of it can be copied."""
    lines = [line.strip() for line in shown.partition("What to try next")[2].splitlines()]
    commands = [line for line in lines if line.startswith(("export ", "source ", "fleetprompt ", "/"))]
    assert any(re.search(f"trace {ID}", line) for line in commands), lines
    for line in commands:
        if "up" in line.split() or line.startswith(("export", "source")):
            continue
        script = "\n".join(["set -e", *(c for c in commands if c.startswith(("export", "source"))), line])
        done = subprocess.run(
            ["bash", "-c", script], cwd=clone, capture_output=True, text=True, timeout=RUN_S
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def _assert_conversation(terminal: Terminal) -> None:
    terminal.type("@fleet where is order 1043?")
    assert "Desk lamp" in terminal.until("no language model)")
    terminal.type("nobody is meant by this")
    terminal.until("nobody is woken")
    terminal.type("/thread 99 hello")
    terminal.until("/thread 1 your words")
    terminal.type("/thread 1 @fleet where is order 1044?")
    assert "Office chair" in terminal.until("no language model)")


@pytest.mark.parametrize("moment", ["embedded Postgres", "at top level", "starts again"])
def test_interrupted_demo_leaves_nothing_running(clone: Path, moment: str) -> None:
    terminal = Terminal(clone)
    try:
        terminal.until(moment)
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("nothing is left running")
        assert terminal.ended() == 130
    finally:
        terminal.close()
    assert left_running(clone) == []


def test_unknown_argument_is_refused_with_the_usage() -> None:
    done = subprocess.run([*DEMO, "--fast"], capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 2
    assert "Usage: fleetprompt demo" in done.stderr


class Terminal:
    """The demo on a terminal of its own."""

    def __init__(self, clone: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            DEMO,
            cwd=clone,
            env=environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self.ours, False)
        self._read = ""

    def until(self, words: str) -> str:
        """Read up to these words; returns them with what came before."""
        deadline = time.monotonic() + RUN_S
        while words not in self._read:
            assert time.monotonic() < deadline, f"never saw {words!r} after {self._read!r}"
            self._more()
        before, found, self._read = self._read.partition(words)
        return before + found

    def type(self, line: str) -> None:
        """A line and the enter key; reads on behind its echo."""
        os.write(self.ours, f"{line}\n".encode())
        self.until(line)

    def ended(self) -> int:
        """Its exit code, read to the end so that it is never stuck writing."""
        deadline = time.monotonic() + LOOK_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self._more()
        return self.process.wait(1)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.ended()
        os.close(self.ours)

    def _more(self) -> None:
        try:
            self._read += os.read(self.ours, 65536).decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # Linux: the other side is closed
            time.sleep(0.02)
