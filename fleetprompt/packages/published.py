"""Reading the registry: every version that is handed out was checked against its signature just now."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from semver import Version
from sqlalchemy import or_, select

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.model import Package, PackageVersion
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.ranges import VersionRange, parse_version
from fleetprompt.packages.signing import TRUSTED, Signature, SignatureRefused, verify

PLATFORM: Final = Version.parse(importlib.metadata.version("fleetprompt"))


@dataclass(frozen=True, slots=True)
class Published:
    """One version of the registry. manifest: only from `verified`."""

    row: PackageVersion

    @property
    def version(self) -> Version:
        """For comparing."""
        return parse_version(self.row.version)

    @property
    def label(self) -> str:
        """`mattermost 1.0.0`."""
        return f"{self.row.package} {self.row.version}"

    @property
    def state(self) -> str:
        """revoked, yanked or published."""
        return "revoked" if self.row.revoked_at else "yanked" if self.row.yanked_at else "published"

    @property
    def reason(self) -> str | None:
        """Why it was withdrawn."""
        return self.row.revoked_reason or self.row.yanked_reason

    @property
    def published_at(self) -> datetime:
        """By the database's clock."""
        return self.row.published_at

    def verified(self, keys: Mapping[str, str] = TRUSTED) -> Manifest:
        """The manifest, as it was signed. Raises SignatureRefused if the row was tampered with."""
        canonical = self.row.manifest.encode()
        signature = Signature(self.row.digest, self.row.key_id, self.row.signature)
        verify(canonical, signature, self.label, keys)
        try:
            manifest = Manifest.model_validate_json(canonical)
        except ValidationError as error:
            advice = "Upgrade FleetPrompt, or choose an older version."
            raise SignatureRefused(f"This program does not understand {self.label}.", advice) from error
        if (manifest.slug, manifest.version) != (self.row.package, self.row.version):
            raise SignatureRefused(f"{self.label} holds another package's manifest.", "Do not install it.")
        return manifest


def split_pin(text: str) -> tuple[str, str | None]:
    """`mattermost@1.2.0` -> slug and version."""
    slug, _, version = text.partition("@")
    return slug, version or None


async def search(database: Database, words: str = "") -> Sequence[Package]:
    """Packages in whose description each of the words is, by slug."""
    query = select(Package).order_by(Package.slug)
    texts = (Package.slug, Package.name, Package.author, Package.category, Package.kind, Package.summary)
    for word in words.split():
        query = query.where(or_(*(column.icontains(word, autoescape=True) for column in texts)))
    async with database.session() as session:
        return list(await session.scalars(query))


async def versions_of(database: Database, slug: str) -> list[Published]:
    """All versions, the highest first. Raises NotFound for an unknown package, naming the nearest."""
    query = select(PackageVersion).where(PackageVersion.package == slug)
    async with database.session() as session:
        found = [Published(row) for row in await session.scalars(query)]
        if not found:
            known = list(await session.scalars(select(Package.slug)))
            raise NotFound(f"There is no package {slug[:60]!r}.", nearest(slug, known))
    return sorted(found, key=lambda one: one.version, reverse=True)


async def find_version(database: Database, slug: str, version: str) -> Published:
    """Exactly this one, withdrawn or not. Raises NotFound, naming the nearest."""
    found = {one.row.version: one for one in await versions_of(database, slug)}
    if version not in found:
        raise NotFound(f"There is no version {version[:40]!r} of {slug}.", nearest(version, found))
    return found[version]


async def choose(database: Database, slug: str, version: str | None = None) -> Published:
    """The version to install: the pinned one, else the highest that is neither withdrawn nor a pre-release.

    Raises NotFound, or Conflict when it is revoked, or none is left.
    """
    if version is not None:
        chosen = await find_version(database, slug, version)
        refuse_revoked(chosen)
        return chosen
    every = await versions_of(database, slug)
    open_ = [one for one in every if one.state == "published"]
    stable = [one for one in open_ if one.version.prerelease is None]
    if open_:
        return (stable or open_)[0]
    raise Conflict(
        f"No version of {slug} can be installed: {every[0].label} is {every[0].state} ({every[0].reason}).",
        f"See: fleetprompt package info {slug}",
    )


async def revocations(database: Database) -> dict[tuple[str, str], str]:
    """Why, of each version that is revoked, by package and version."""
    query = select(PackageVersion).where(PackageVersion.revoked_at.is_not(None))
    async with database.session() as session:
        return {(row.package, row.version): row.revoked_reason or "" for row in await session.scalars(query)}


def refuse_revoked(one: Published) -> None:
    """Raises Conflict, with the reason."""
    if one.state == "revoked":
        raise Conflict(
            f"{one.label} is revoked: {one.reason}.", f"See: fleetprompt package info {one.row.package}"
        )


def refuse_platform(manifest: Manifest, platform: Version = PLATFORM) -> None:
    """Raises Conflict if the package is not made for this version of FleetPrompt."""
    if not VersionRange.parse(manifest.platform).admits(platform):
        raise Conflict(
            f"{manifest.label} needs FleetPrompt {manifest.platform}; this is {platform}.",
            "Upgrade FleetPrompt, or pin another version: PACKAGE@VERSION.",
        )
