"""Ranges of versions: what each spelling admits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from fleetprompt.packages.manifest.ranges import VersionRange, parse_version

CASES = [
    ("1.2.3", "1.2.3", "1.2.2 1.2.4 1.2.3-rc.1"),
    ("=1.2.3", "1.2.3", "1.2.4"),
    ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-rc.1 1.3.0-rc.1"),
    ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
    ("^0.0.3", "0.0.3", "0.0.4"),
    ("^1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
    ("^0", "0.0.0 0.9.0", "1.0.0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
    ("~1.2", "1.2.0 1.2.9", "1.3.0"),
    ("~1", "1.0.0 1.9.0", "2.0.0"),
    ("1.x", "1.0.0 1.9.9", "2.0.0 0.9.0"),
    ("1.2", "1.2.0 1.2.9", "1.3.0"),
    ("1.x.3", "1.0.0 1.4.0", "2.0.0"),
    ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
    (">=1.0.0 <2.0.0", "1.0.0 1.9.9", "2.0.0 0.9.9 2.0.0-rc.1"),
    (">= 1.0.0, < 2", "1.5.0", "2.0.0"),
    (">1.2", "1.3.0", "1.2.9"),
    ("<=1.2", "1.2.9", "1.3.0"),
    ("<*", "", "0.0.0 1.0.0"),
    ("^1.0.0 || ^3.0.0", "1.1.0 3.0.0", "2.0.0"),
    (">=1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1.0.0 2.0.0", "1.0.0-beta 2.0.0-rc.1"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), CASES)
def test_a_range_admits_what_it_says(text: str, inside: str, outside: str) -> None:
    found = VersionRange.parse(text)
    assert [one for one in inside.split() if not found.admits(Version.parse(one))] == []
    assert [one for one in outside.split() if found.admits(Version.parse(one))] == []


@pytest.mark.parametrize(
    "text",
    ["", " ", "1.2.3 ||", "latest", "^", ">=", "1.2.3.4", "01.2.3", "=>1", "1 - 2", "^1-rc", "1" * 201],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|three numbers"):
        VersionRange.parse(text)


@pytest.mark.parametrize("text", ["1", "1.0", "v1.0.0", "1.0.0+build", "01.0.0", "", "1.0.0-", "1.0.0 "])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="version has"):
        parse_version(text)


VERSIONS = st.builds(Version, *(st.integers(0, 30) for _ in range(3)))


@given(VERSIONS, VERSIONS)
def test_a_caret_admits_what_is_newer_and_begins_the_same(low: Version, other: Version) -> None:
    significant = 1 if low.major else 2 if low.minor else 3
    same = low.to_tuple()[:significant] == other.to_tuple()[:significant]
    assert VersionRange.parse(f"^{low}").admits(other) == (same and other >= low)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_bounds_hold_together_and_alternatives_apart(low: Version, high: Version, other: Version) -> None:
    assert VersionRange.parse(f">={low} <{high}").admits(other) == (low <= other < high)
    assert VersionRange.parse(f"<{low} || >={high}").admits(other) == (other < low or other >= high)


@given(st.text("0123456789.x*^~<>=|, -rc", max_size=20))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        VersionRange.parse(text).admits(Version(1, 0, 0))
    except ValueError as error:
        said = str(error)
    else:
        said = "a range"
    assert said
