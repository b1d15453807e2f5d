"""Ranges of semantic versions, as npm and Cargo write them: `^1.2`, `~1.2.3`, `>=1.0.0 <2.0.0`, `1.x`, `*`, `a || b`.

A pre-release is in a range only if the range itself names a pre-release of the same three numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from semver import Version

COMPARATOR: Final = re.compile(
    r"(?P<sign>\^|~|>=|<=|>|<|=)?\s*v?(?P<major>0|[1-9]\d{0,8}|[xX*])"
    r"(?:\.(?P<minor>0|[1-9]\d{0,8}|[xX*]))?(?:\.(?P<patch>0|[1-9]\d{0,8}|[xX*]))?"
    r"(?:-(?P<pre>[0-9A-Za-z.-]{1,40}))?"
)
MAX_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Bound:
    """One side of an interval. sign: >=, >, <, <=."""

    sign: str
    version: Version

    def admits(self, version: Version) -> bool:
        """Whether the version is on this side."""
        order = version.compare(self.version)
        return {">=": order >= 0, ">": order > 0, "<": order < 0, "<=": order <= 0}[self.sign]


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Alternatives of bounds that hold together."""

    text: str
    alternatives: tuple[tuple[Bound, ...], ...]

    @classmethod
    def parse(cls, text: str) -> VersionRange:
        """Raises ValueError, which says what is wrong."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError("the range is too long")
        return cls(text.strip(), tuple(_alternative(part) for part in text.split("||")))

    def admits(self, version: Version) -> bool:
        """Whether the version is in the range."""
        return any(_all_admit(bounds, version) for bounds in self.alternatives)

    def __str__(self) -> str:
        return self.text


def parse_version(text: str) -> Version:
    """An exact version `1.2.3` or `1.2.3-rc.1`. Raises ValueError."""
    try:
        version = Version.parse(text)
    except (ValueError, TypeError):
        raise ValueError("a version has three numbers, as in 1.0.0 or 1.0.0-rc.1") from None
    if version.build is not None:
        raise ValueError("a version has no build part: two builds of one version could not be told apart")
    return version


def _all_admit(bounds: tuple[Bound, ...], version: Version) -> bool:
    if not all(bound.admits(version) for bound in bounds):
        return False
    if version.prerelease is None:
        return True
    numbers = version.to_tuple()[:3]
    return any(b.version.prerelease is not None and b.version.to_tuple()[:3] == numbers for b in bounds)


def _alternative(text: str) -> tuple[Bound, ...]:
    rest, bounds = text.strip(), list[Bound]()
    if not rest:
        raise ValueError("a range is empty; write * for any version")
    while rest:
        found = COMPARATOR.match(rest)
        if found is None or (found.end() < len(rest) and rest[found.end()] not in ", "):
            raise ValueError(f"{rest[:20]!r} is no range; write ^1.0, ~1.2, >=1.0.0 <2.0.0 or an exact 1.2.3")
        bounds += _bounds(found)
        rest = rest[found.end() :].lstrip(", ")
    return tuple(bounds)


def _bounds(found: re.Match[str]) -> list[Bound]:
    sign = found["sign"] or "="
    given = [int(n) for n in takewhile(_is_number, found.group("major", "minor", "patch")) if n is not None]
    if found["pre"] is not None and len(given) < 3:
        raise ValueError("a pre-release needs all three numbers")
    major, minor, patch = [*given, 0, 0, 0][:3]
    low = Version(major, minor, patch, prerelease=found["pre"])
    if not given:
        return [Bound(">=", Version(0, 0, 0))] if sign in ("=", ">=", "^", "~", "<=") else [_nothing()]
    return _of_sign(sign, low, given)


def _of_sign(sign: str, low: Version, given: list[int]) -> list[Bound]:
    if sign in (">=", "<"):
        return [Bound(sign, low)]
    if sign == "^":
        first = next((index for index, number in enumerate(given) if number), len(given) - 1)
        return [Bound(">=", low), Bound("<", _next(given, first))]
    if sign == "~":
        return [Bound(">=", low), Bound("<", _next(given, min(1, len(given) - 1)))]
    if len(given) == 3:
        return [Bound(sign, low)] if sign != "=" else [Bound(">=", low), Bound("<=", low)]
    after = _next(given, len(given) - 1)
    return {
        "=": [Bound(">=", low), Bound("<", after)],
        ">": [Bound(">=", after)],
        "<=": [Bound("<", after)],
    }[sign]


def _next(given: list[int], index: int) -> Version:
    """The first version after all that begin with given[: index + 1]."""
    major, minor, patch = [*given[:index], given[index] + 1, 0, 0][:3]
    return Version(major, minor, patch)


def _nothing() -> Bound:
    return Bound("<", Version(0, 0, 0, prerelease="0"))


def _is_number(text: str | None) -> bool:
    return text is not None and text.isdigit()
