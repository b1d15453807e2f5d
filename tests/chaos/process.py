"""`python -m tests.chaos.process CLOCK MACHINE ROLE`: the `fleetprompt` command with a wall clock that jumps.

MACHINE: the name of the machine that it believes to run on; "" = the one that it is.

CLOCK is a file: seconds to add to the time of day. It is added in the two places where the service reads that, the
clock and the ids; monotonic time goes on, as it does when an administrator sets a clock. libfaketime is not used: its
0.9.10 wraps the timed waits by which Python's threads pass the GIL on, and an import in a thread takes minutes.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from fleetprompt.kernel import clock, ids, processes

LOOK_EVERY_S = 0.2
PR_SET_PDEATHSIG = 1  # prctl(2)


class JumpingClock:
    """The time of day with what the file adds to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._looked_s = float("-inf")
        self._offset_s = 0.0

    def offset_s(self) -> float:
        """What is added; looked up a few times a second."""
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            self._offset_s = float(self._file.read_text())
        return self._offset_s

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset_s())

    def now_ms(self) -> int:
        return int((time.time() + self.offset_s()) * 1000)

    def new_id(self) -> UUID:
        """A UUIDv7 of that time: its first 48 bits are milliseconds."""
        return UUID(int=uuid7().int + (int(self.offset_s() * 1000) << 80))


def main() -> None:
    _die_with_harness()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a harness in the background has it ignored
    jumping = JumpingClock(Path(sys.argv[1]))
    vars(clock).update(now=jumping.now, now_ms=jumping.now_ms)
    vars(ids)["uuid7"] = jumping.new_id
    if sys.argv[2]:
        vars(processes)["machine"] = lambda: sys.argv[2]
    from fleetprompt.cli import main as command

    command(sys.argv[3:])


def _die_with_harness() -> None:
    """Whoever kills the harness wants no services left behind; they are in sessions of their own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
