"""Whether a process of this machine still lives, also when its number went to another one since.

By Linux's /proc (proc_pid_stat(5)); elsewhere nothing is known, and nobody is called dead.
"""

from __future__ import annotations

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
    """When the process was started, in clock ticks since the boot. None: there is none, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except OSError:
        return None
    return None if fields[_STATE] in _DEAD_STATES else int(fields[_START_TIME])
