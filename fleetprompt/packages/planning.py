"""The plan of an install: the chosen version, checked, and what it needs beside itself."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Installer, without_far_side
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.ranges import VersionRange
from fleetprompt.packages.published import (
    PLATFORM,
    Published,
    choose,
    find_version,
    refuse_platform,
    refuse_revoked,
    search,
    split_pin,
    versions_of,
)
from fleetprompt.packages.resolve import Candidate, resolve
from fleetprompt.packages.settings_schema import settings_model

PRESENT = (InstallationState.INSTALLED, InstallationState.DISABLED, InstallationState.UPGRADING)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What will be installed. is_pinned: its version was named."""

    manifest: Manifest
    digest: str
    installer: Installer
    is_pinned: bool


async def choose_for(house: House, tenant: TenantSlug, package: str) -> Chosen:
    """`slug` or `slug@version`, from the registry, with all that it needs there already.

    Raises NotFound, SignatureRefused, or Conflict: revoked, made for another FleetPrompt, not installable by this
    program yet, or something that it needs is missing.
    """
    slug, version = split_pin(package)
    published = await choose(house.tenancy.database, slug, version)
    manifest = published.verified()
    refuse_platform(manifest)
    installer = require_installer(house, manifest)
    await require_needs(house, tenant, manifest)
    return Chosen(manifest, published.row.digest, installer, version is not None)


async def require_needs(house: House, tenant: TenantSlug, manifest: Manifest) -> None:
    """Raises Conflict if something that it needs is not installed."""
    if manifest.requires:
        async with house.tenancy.session(tenant) as session:
            rows = await live_installations(session)
        installed = {row.package: row.version for row in rows if row.state in PRESENT}
        _require_all(await plan(house.tenancy.database, manifest, installed), tenant)


async def installable(house: House) -> list[Installer]:
    """What this program can install: its connectors' packages, and those of the registry that need none."""
    found = dict(house.installers.by_package)
    for package in await search(house.tenancy.database):
        if package.kind != "connector":
            with contextlib.suppress(Conflict):  # no version of it is left
                manifest = (await choose(house.tenancy.database, package.slug)).verified()
                found[package.slug] = require_installer(house, manifest)
    return list(found.values())


def refuse_too_many(manifest: Manifest, installed: int) -> None:
    """Raises Conflict if an organization has as many installations as the package allows."""
    most = manifest.limits.max_installations
    if most is not None and installed >= most:
        raise Conflict(
            f"There are {installed} installations of {manifest.slug} already, and it allows {most}.",
            f"Uninstall one: fleetprompt package uninstall {manifest.slug} --name NAME",
        )


def require_installer(house: House, manifest: Manifest) -> Installer:
    """Raises Conflict if this program lacks the connector that the package binds."""
    if manifest.binds is None:
        return without_far_side(manifest.slug, manifest.version, settings_model(manifest))
    if manifest.slug not in house.installers.by_package:
        raise Conflict(
            f"{manifest.label} is not installable yet: FleetPrompt {PLATFORM} does not bring the connector"
            f" {manifest.binds!r}.",
            f"It can be with the FleetPrompt that brings it; this one has: {', '.join(sorted(house.installers.by_package))}.",
        )
    return house.installers.by_package[manifest.slug]


async def plan(
    database: Database, manifest: Manifest, installed: Mapping[str, str] | None = None
) -> list[Candidate]:
    """What would be installed, in order, the package itself last. installed: versions that stay. Raises Conflict."""
    offers = dict[str, list[Candidate]]()
    waiting = [need.package for need in manifest.requires]
    while waiting:
        slug = waiting.pop()
        if slug in offers or slug == manifest.slug:
            continue
        try:
            offers[slug] = await _candidates(database, slug, (installed or {}).get(slug))
        except NotFound:
            continue
        waiting += [need.package for one in offers[slug] for need in one.manifest.requires]
    return resolve(Candidate(manifest), offers)


async def _candidates(database: Database, slug: str, installed: str | None) -> list[Candidate]:
    if installed is not None:
        return [Candidate((await find_version(database, slug, installed)).verified(), is_installed=True)]
    published = [one for one in await versions_of(database, slug) if one.state == "published"]
    manifests = [one.verified() for one in published]
    return [Candidate(one) for one in manifests if VersionRange.parse(one.platform).admits(PLATFORM)]


def _require_all(planned: Collection[Candidate], tenant: TenantSlug) -> None:
    *needed, root = planned
    missing = [one.manifest for one in needed if not one.is_installed]
    if missing:
        listed = ", ".join(one.label for one in missing)
        first = f"fleetprompt package install {missing[0].slug}@{missing[0].version} --org {tenant}"
        raise Conflict(f"{root.manifest.label} needs {listed}.", f"Install that first: {first}")


async def recheck(database: Database, installation: Installation) -> Manifest:
    """Just before an installation is touched: its version as the registry holds it now.

    Raises Conflict if it was revoked meanwhile, SignatureRefused if it is not what was chosen.
    """
    published = await find_version(database, installation.package, installation.version)
    refuse_revoked(published)
    manifest = published.verified()
    _require_same(installation, published)
    return manifest


def _require_same(installation: Installation, published: Published) -> None:
    if installation.package_digest not in (None, published.row.digest):
        raise Conflict(
            f"{published.label} is not the one that was installed.", "Restore the registry from a back-up."
        )
