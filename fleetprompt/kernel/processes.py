"""Whether a process of this machine is gone, also when its number went to another one since.

By Linux's /proc (proc_pid_stat(5)). Where that cannot be read, nothing is known, and nobody is called gone.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
_DEAD_STATES: Final = ("Z", "X")
_STATE, _START_TIME = 0, 19  # fields 3 and 22 of stat, behind the name in parentheses


@cache
def machine() -> str | None:
    """This boot of this machine, and the container's own numbering of processes. None: it cannot be told."""
    try:
        return f"{_BOOT.read_text().strip()}/{_NAMESPACE.stat().st_ino}"
    except OSError:
        return None


def born(pid: int) -> int | None:
    """When a process that is there was started, in clock ticks since the boot. None: it is not there.

    Raises OSError where that cannot be looked up.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE] in _DEAD_STATES else int(fields[_START_TIME])


def own_birth() -> int | None:
    """Our own; None where it cannot be looked up."""
    try:
        return born(os.getpid())
    except OSError:
        return None


def is_gone(pid: int, birth: int) -> bool:
    """Whether the process that was born then is there no more. In doubt it is there.

    /proc may hide what other users run (`hidepid`), but no number that is taken can be signalled as if it were free.
    """
    try:
        now = born(pid)
        if now is None and lives(pid):
            return _is_dead_child(pid)
        return now != birth
    except OSError:
        return False


def lives(pid: int) -> bool:
    """Whether the number is taken, by whomever; also by one that ended, until its parent looked."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_dead_child(pid: int) -> bool:
    """One that ended keeps its number until its parent looked; it can be seen all the same."""
    return Path(f"/proc/{pid}/stat").exists()
