"""Who is gone, and who only cannot be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetprompt.kernel import processes

pytestmark = pytest.mark.skipif(processes.machine() is None, reason="needs Linux's /proc")


def test_we_are_there() -> None:
    birth = processes.own_birth()
    assert birth is not None
    assert processes.born(os.getpid()) == birth
    assert not processes.is_gone(os.getpid(), birth)


def test_another_process_with_the_number_is_not_the_one() -> None:
    birth = processes.own_birth()
    assert birth is not None
    assert processes.is_gone(os.getpid(), birth - 1)


def test_a_dead_one_is_gone_before_and_after_its_parent_looked() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        birth = processes.born(child.pid)
        assert birth is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and its number still taken
        assert processes.is_gone(child.pid, birth)
    assert processes.is_gone(child.pid, birth)


def test_who_is_hidden_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc shows a user's own processes alone: the number is taken, and nothing can be read of it."""
    monkeypatch.setattr(processes, "born", lambda _: None)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert not processes.is_gone(os.getpid(), 0)
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError))
    assert processes.is_gone(os.getpid(), 0)


@pytest.mark.parametrize("fault", [PermissionError, OSError(24, "Too many open files")])
def test_who_cannot_be_looked_up_is_there(monkeypatch: pytest.MonkeyPatch, fault: OSError) -> None:
    def refused(_: Path) -> bytes:
        raise fault

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert not processes.is_gone(os.getpid(), 0)
    assert processes.own_birth() is None
