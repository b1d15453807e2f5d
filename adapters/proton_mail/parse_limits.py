"""What stops a parse: too much of something, or too long."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class TooMuch(Exception):
    """The mail is beyond a limit; says nothing of its content."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class TooSlow(Exception):
    """A step took longer than it may."""


class _Bell:
    is_kept = False


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def keep_bell() -> None:
    """For a process in which nobody else uses the alarm: its handler need not be put there and taken back each time."""
    signal.signal(signal.SIGALRM, _ring)
    _Bell.is_kept = True


def within(seconds: float, step: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """`step()`, or `otherwise()` when it takes too long or fails over what it reads.

    Works in a process's main thread alone, where the parser lives; regular expressions are interrupted too.
    """

    before = signal.SIG_DFL if _Bell.is_kept else signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return step()
    except (TooSlow, RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not _Bell.is_kept:
            signal.signal(signal.SIGALRM, before)
    return otherwise()
