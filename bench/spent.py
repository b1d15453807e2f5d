"""What processes took of the processors. Linux only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bench.idle import descendants

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def spent_s(*pids: int) -> float:
    """User and system time, so far, of these processes and of all that they started; of one that is gone, nothing."""
    return sum(map(_own_s, set[int]().union(*map(descendants, pids))))


def _own_s(pid: int) -> float:
    """With what its children took that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
