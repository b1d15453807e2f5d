"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok: nothing to do; warn: look at it; fail: it does not work until somebody does something."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """check: what was looked at; org: whose it is, None = the whole service."""

    check: str
    level: Level
    detail: str
    remedy: str = ""
    org: str | None = None


def ok(check: str, detail: str, org: str | None = None) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, detail, "", org)


def warn(check: str, detail: str, remedy: str, org: str | None = None) -> Finding:
    """Look at it."""
    return Finding(check, Level.WARN, detail, remedy, org)


def fail(check: str, detail: str, remedy: str, org: str | None = None) -> Finding:
    """Somebody has to do something."""
    return Finding(check, Level.FAIL, detail, remedy, org)


def counted(number: int, noun: str) -> str:
    """`1 dead letter`, `2 dead letters`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
