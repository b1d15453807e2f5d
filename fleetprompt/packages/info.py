"""What a person is told of a package before installing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import plan, require_installer
from fleetprompt.packages.published import (
    Published,
    choose,
    find_version,
    refuse_platform,
    refuse_revoked,
    search,
    split_pin,
    versions_of,
)


@dataclass(frozen=True, slots=True)
class Found:
    """One package of a search. version: the one that would be installed, else the highest."""

    package: str
    version: str
    name: str
    author: str
    category: str
    kind: str
    summary: str
    state: str
    installable: bool


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """One version in full. plan: what an install would add, in order, as `mattermost 1.0.0`.

    problem: why it cannot be installed now, if so.
    """

    package: str
    version: str
    name: str
    author: str
    category: str
    kind: str
    summary: str
    description: str
    platform: str
    state: str
    reason: str | None
    problem: str | None
    digest: str
    key: str
    provides: dict[str, Any]
    requires: list[dict[str, Any]]
    plan: list[str]
    signals: dict[str, Any]
    directives: list[str]
    permissions: list[dict[str, Any]]
    config: dict[str, Any]
    credentials: list[dict[str, Any]]
    limits: dict[str, Any]
    health: dict[str, Any]
    uninstall: dict[str, Any]
    value: list[dict[str, Any]]
    versions: list[dict[str, Any]]


TOLD = ("name", "author", "category", "kind", "summary")


async def find_packages(house: House, words: str = "") -> Sequence[Found]:
    """Those that speak of all the words."""
    found = list[Found]()
    for package in await search(house.tenancy.database, words):
        chosen = await _shown(house, package.slug, None)
        told = {name: getattr(package, name) for name in TOLD}
        has_all = package.slug in house.installers.by_package or package.kind != "connector"
        installable = has_all and chosen.state != "revoked"
        found.append(
            Found(package.slug, chosen.row.version, **told, state=chosen.state, installable=installable)
        )
    return found


async def describe(house: House, package: str) -> PackageInfo:
    """`slug` or `slug@version`. Raises NotFound, SignatureRefused."""
    slug, version = split_pin(package)
    shown = await _shown(house, slug, version)
    manifest = shown.verified()
    words = manifest.model_dump(mode="json", by_alias=True)
    told = {name: words[name] for name in INFO_OF_MANIFEST}
    planned, problem = await _plan(house, shown, manifest)
    return PackageInfo(
        package=slug,
        version=manifest.version,
        state=shown.state,
        reason=shown.reason,
        problem=problem,
        digest=shown.row.digest,
        key=shown.row.key_id,
        plan=planned,
        versions=[_version(one) for one in await versions_of(house.tenancy.database, slug)],
        **told,
    )


INFO_OF_MANIFEST = (
    *TOLD, "description", "platform", "provides", "requires", "signals", "directives", "permissions", "config",
    "credentials", "limits", "health", "uninstall", "value",
)  # fmt: skip


async def _plan(house: House, shown: Published, manifest: Manifest) -> tuple[list[str], str | None]:
    """What would be installed, and what stands in the way."""
    try:
        refuse_revoked(shown)
        refuse_platform(manifest)
        candidates = await plan(house.tenancy.database, manifest)
        labels = [one.manifest.label for one in candidates]
    except Conflict as conflict:
        return [], str(conflict)
    try:
        require_installer(house, manifest)
    except Conflict as conflict:
        return labels, str(conflict)
    return labels, None


async def _shown(house: House, slug: str, version: str | None) -> Published:
    """The version to speak of: the pinned one, the one to install, or, where all are withdrawn, the highest."""
    database = house.tenancy.database
    if version is not None:
        return await find_version(database, slug, version)
    try:
        return await choose(database, slug)
    except Conflict:
        return (await versions_of(database, slug))[0]


def _version(one: Published) -> dict[str, Any]:
    return {
        "version": one.row.version,
        "state": one.state,
        "reason": one.reason,
        "published_at": one.published_at,
    }
