"""What an install needs beside the package itself: versions that go together, chosen by resolvelib.

What a tenant has installed is a given: an install never changes another package behind a person's back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver
from semver import Version

from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.ranges import VersionRange, parse_version

MAX_ROUNDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that could be chosen. is_installed: it is there already."""

    manifest: Manifest
    is_installed: bool = False

    @property
    def slug(self) -> str:
        """Of its package."""
        return self.manifest.slug

    @property
    def version(self) -> Version:
        """For comparing."""
        return parse_version(self.manifest.version)


@dataclass(frozen=True, slots=True)
class Wish:
    """A range of a package's versions."""

    slug: str
    range: VersionRange


Offers = Mapping[str, Sequence[Candidate]]
"""Candidates by package; a package that nobody has is not there, one without any to choose is empty."""


def resolve(root: Candidate, offers: Offers) -> list[Candidate]:
    """The root and all that it needs, what is needed first. Raises Conflict, which says who needs what."""
    only = VersionRange.parse(f"={root.manifest.version}")
    # A pre-release or withdrawn root was named on purpose: it is the one candidate of its package.
    provider = _Provider({**offers, root.slug: (root,)})
    try:
        resolver: Resolver[Wish, Candidate, str] = Resolver(provider, BaseReporter())
        found = resolver.resolve([Wish(root.slug, only)], max_rounds=MAX_ROUNDS).mapping
    except ResolutionImpossible as error:
        raise _conflict(root, offers, error) from error
    except ResolutionTooDeep as error:
        raise Conflict(
            f"What {root.manifest.label} needs is too tangled to resolve.", "Pin versions."
        ) from error
    return list(_in_order(root, found, set()))


def _in_order(one: Candidate, found: Mapping[str, Candidate], seen: set[str]) -> Iterator[Candidate]:
    """Depth first; packages that need each other come in the order in which they were met."""
    seen.add(one.slug)
    for requirement in one.manifest.requires:
        if requirement.package not in seen:
            yield from _in_order(found[requirement.package], found, seen)
    yield one


class _Provider(AbstractProvider[Wish, Candidate, str]):
    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def identify(self, requirement_or_candidate: Wish | Candidate) -> str:
        return requirement_or_candidate.slug

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> tuple[int, str]:
        """Fewest choices first; by name where that is equal, so that the answer is always the same."""
        return len(self._offers.get(identifier, ())), identifier

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Wish]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Iterable[Candidate]:
        """The highest first; a pre-release only if nothing else will do."""
        wishes = list(requirements[identifier])
        refused = {str(one.version) for one in incompatibilities[identifier]}
        fitting = [
            one
            for one in self._offers.get(identifier, ())
            if str(one.version) not in refused and all(self.is_satisfied_by(wish, one) for wish in wishes)
        ]
        return sorted(fitting, key=lambda one: (one.version.prerelease is None, one.version), reverse=True)

    def is_satisfied_by(self, requirement: Wish, candidate: Candidate) -> bool:
        return requirement.range.admits(candidate.version)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Wish]:
        needs = candidate.manifest.requires
        return [Wish(need.package, VersionRange.parse(need.version)) for need in needs]


def _conflict(root: Candidate, offers: Offers, error: ResolutionImpossible[Wish, Candidate]) -> Conflict:
    slugs = sorted({cause.requirement.slug for cause in error.causes})
    needs = sorted(
        {
            f"{cause.parent.manifest.label} needs {cause.requirement.slug} {cause.requirement.range}"
            for cause in error.causes
            if cause.parent is not None
        }
    )
    there = "; ".join(_there_is(slug, root, offers) for slug in slugs)
    what = f"{root.manifest.label} cannot be installed: {'; '.join(needs)}; {there}."
    installed = [slug for slug in slugs if any(one.is_installed for one in offers.get(slug, ()))]
    if installed:
        return Conflict(what, f"Choose another version, or uninstall {' and '.join(installed)} first.")
    return Conflict(what, f"Choose another version: fleetprompt package info {root.slug}")


def _there_is(slug: str, root: Candidate, offers: Offers) -> str:
    if slug == root.slug:
        return f"{root.manifest.label} was asked for"
    if slug not in offers:
        return f"there is no package {slug!r}"
    candidates = offers[slug]
    if not candidates:
        return f"no version of {slug} can be chosen"
    listed = ", ".join(str(one.version) for one in sorted(candidates, key=lambda one: one.version))
    return f"{slug} {listed} is installed" if candidates[0].is_installed else f"of {slug} there is {listed}"
