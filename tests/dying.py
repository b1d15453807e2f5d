"""A death inside the test's own process: an exception that nothing catches, at a fault point.

What was not committed is gone, and a job stays claimed until its lease ends, as after kill -9; `tests.killing` really
kills.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from fleetprompt.kernel import faults


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def dying_at(point: str) -> Iterator[None]:
    """The first time that this place is reached."""

    def die(*_: Any) -> None:
        faults.arm("")
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleetprompt.kernel.faults.os.kill", die)
        faults.arm(point)
        yield
    faults.arm("")
