"""What goes together, and the words when nothing does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages.manifest.ranges import VersionRange
from fleetprompt.packages.resolve import Candidate, resolve
from tests.manifests import manifest

Needs = dict[str, str]


def one(slug: str, version: str = "1.0.0", *, installed: bool = False, **needs: str) -> Candidate:
    return Candidate(manifest(slug, version, needs=needs), is_installed=installed)


def offers(*candidates: Candidate) -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        found.setdefault(candidate.slug, []).append(candidate)
    return found


def labels(found: list[Candidate]) -> list[str]:
    return [candidate.manifest.label for candidate in found]


def test_a_package_that_needs_nothing_is_its_own_plan() -> None:
    assert labels(resolve(one("a"), {})) == ["a 1.0.0"]


def test_what_is_needed_comes_first_and_is_the_highest_that_fits() -> None:
    root = one("a", b="^1.0.0", c="*")
    found = resolve(
        root,
        offers(one("b", "1.0.0"), one("b", "1.4.0", c="<2"), one("b", "2.0.0"), one("c"), one("c", "2.0.0")),
    )
    assert labels(found) == ["c 1.0.0", "b 1.4.0", "a 1.0.0"]


def test_an_older_version_is_taken_if_the_highest_does_not_go_together() -> None:
    root = one("a", b="*", c="^1.0.0")
    found = resolve(
        root,
        offers(one("b", "2.0.0", c="^2.0.0"), one("b", "1.0.0", c="^1.0.0"), one("c"), one("c", "2.0.0")),
    )
    assert labels(found) == ["c 1.0.0", "b 1.0.0", "a 1.0.0"]


def test_a_release_is_preferred_to_a_higher_pre_release() -> None:
    found = resolve(
        one("a", b=">=1.0.0-rc.1 || 2.0.0-rc.1"), offers(one("b", "1.0.0"), one("b", "2.0.0-rc.1"))
    )
    assert labels(found)[0] == "b 1.0.0"


def test_packages_that_need_each_other_are_planned_once() -> None:
    assert labels(resolve(one("a", b="*"), offers(one("b", a="*")))) == ["b 1.0.0", "a 1.0.0"]


def test_a_root_that_is_a_pre_release_stays_what_was_asked_for() -> None:
    assert labels(resolve(one("a", "2.0.0-rc.1"), offers(one("a", "1.0.0")))) == ["a 2.0.0-rc.1"]


@pytest.mark.parametrize(
    ("root", "there", "words"),
    [
        (
            one("a", b="^2.0.0"),
            [one("b")],
            ["a 1.0.0 needs b ^2.0.0", "of b there is 1.0.0", "package info a"],
        ),
        (one("a", b="*"), [], ["a 1.0.0 needs b *", "there is no package 'b'"]),
        (
            one("a", b="*", c="*"),
            [one("b", d="^1.0.0"), one("c", d="^2.0.0"), one("d"), one("d", "2.0.0")],
            ["b 1.0.0 needs d ^1.0.0", "c 1.0.0 needs d ^2.0.0", "of d there is 1.0.0, 2.0.0"],
        ),
        (
            one("a", b="^2.0.0"),
            [one("b", installed=True)],
            ["a 1.0.0 needs b ^2.0.0", "b 1.0.0 is installed", "uninstall b first"],
        ),
        (one("a", b="*"), [one("b", a="^9.0.0")], ["b 1.0.0 needs a ^9.0.0", "a 1.0.0 was asked for"]),
    ],
)
def test_a_conflict_says_who_needs_what_and_what_there_is(
    root: Candidate, there: list[Candidate], words: list[str]
) -> None:
    with pytest.raises(Conflict) as refused:
        resolve(root, offers(*there))
    for word in words:
        assert word in str(refused.value)


def test_a_package_of_which_everything_is_withdrawn_is_said_so() -> None:
    with pytest.raises(Conflict, match="no version of b can be chosen"):
        resolve(one("a", b="*"), {"b": []})


NAMES = ("b", "c", "d")
RANGES = st.sampled_from(["*", "^1.0.0", "^2.0.0", ">=1.1.0", "<2.0.0", "~1.1"])
VERSIONS = st.sampled_from(["1.0.0", "1.1.0", "2.0.0"])
NEEDS = st.dictionaries(st.sampled_from(NAMES), RANGES, max_size=2)
WORLD = st.dictionaries(st.tuples(st.sampled_from(NAMES), VERSIONS), NEEDS, max_size=9)


@given(WORLD, NEEDS)
def test_a_plan_is_whole_and_every_range_in_it_holds(
    world: dict[tuple[str, str], Needs], needs: Needs
) -> None:
    there = [Candidate(manifest(slug, version, needs=more)) for (slug, version), more in world.items()]
    root = Candidate(manifest("a", needs=needs))
    try:
        found = {candidate.slug: candidate for candidate in resolve(root, offers(*there))}
    except Conflict:
        found = {}
    for candidate in found.values():
        for need in candidate.manifest.requires:
            assert VersionRange.parse(need.version).admits(found[need.package].version)
