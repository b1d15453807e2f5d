"""Putting manifests into the registry: idempotent, safe for several processes that start at once, never over another.

A start must be quick: a version whose digest is there already is not even read. Imports of the manifest's own rooms
are made where they are used, for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, FleetPromptError
from fleetprompt.model import Package, PackageVersion, Skill
from fleetprompt.packages.signing import (
    TRUSTED,
    Signature,
    read_signature,
    signature_path,
    verify,
)

if TYPE_CHECKING:
    from fleetprompt.packages.manifest import Manifest

FIRST_PARTY: Final = Path(__file__).parent / "registry"
PUBLISH_LOCK: Final = 0x0F1EE8

faults.declare(["package.inserted"])


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest that its signature vouches for."""

    manifest: Manifest
    canonical: bytes
    signature: Signature


async def publish_first_party(database: Database, folder: Path = FIRST_PARTY) -> list[str]:
    """Publish what this program brings and the registry does not have. Returns why some could not be.

    One that cannot be published keeps no other from it, and no process from its start.
    """
    async with database.session() as session:
        known = await _digests(session)
    failures = list[str]()
    for path in first_party_files(folder):
        try:
            await _publish_file(database, path, known.get((path.parent.name, path.stem)))
        except FleetPromptError as error:
            failures.append(str(error))
    return failures


def first_party_files(folder: Path = FIRST_PARTY) -> list[Path]:
    """The manifests that come with this program."""
    return sorted(folder.glob("*/*.yaml"))


async def _publish_file(database: Database, path: Path, known: str | None) -> None:
    if known is None:
        await publish(database, load_release(path))
    elif read_signature(signature_path(path)).digest != known:
        raise _published_otherwise(f"{path.parent.name} {path.stem}")


@cache
def load_release(path: Path) -> Release:
    """A manifest's file and its signature. Raises ManifestRefused, SignatureRefused."""
    from fleetprompt.packages.manifest.lint import read_written

    written = read_written(path)
    return Release(written.manifest, written.canonical, read_signature(signature_path(path)))


async def publish(database: Database, release: Release, keys: Mapping[str, str] = TRUSTED) -> bool:
    """Publish one version; False if it is there already. One transaction: a death leaves all of it or nothing.

    Raises SignatureRefused, or Conflict if this version is there with another content.
    """
    manifest = release.manifest
    verify(release.canonical, release.signature, manifest.label, keys)
    async with database.session() as session:
        await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": PUBLISH_LOCK})
        known = (await _digests(session, manifest.slug)).get((manifest.slug, manifest.version))
        if known is not None and known != release.signature.digest:
            raise _published_otherwise(manifest.label)
        if known is None:
            await _insert(session, release)
            faults.reach("package.inserted")
    return known is None


async def _insert(session: AsyncSession, release: Release) -> None:
    manifest, signature = release.manifest, release.signature
    await _describe(session, manifest)
    await session.execute(
        insert(PackageVersion).values(
            package=manifest.slug,
            version=manifest.version,
            manifest=release.canonical.decode(),
            digest=signature.digest,
            key_id=signature.key_id,
            signature=signature.signature,
        )
    )
    if manifest.provides.skills:
        await session.execute(insert(Skill).values(_skills(manifest)))


async def _describe(session: AsyncSession, manifest: Manifest) -> None:
    """The package's row speaks with the words of its highest version, also when an older one is published later."""
    from fleetprompt.packages.manifest.ranges import parse_version

    latest = await session.scalar(select(Package.latest).where(Package.slug == manifest.slug))
    if latest is not None and parse_version(latest) > parse_version(manifest.version):
        return
    described = ("name", "author", "category", "kind", "summary")
    values = {"latest": manifest.version, **{name: getattr(manifest, name) for name in described}}
    new = insert(Package).values(slug=manifest.slug, **values)
    await session.execute(new.on_conflict_do_update(index_elements=["slug"], set_=values))


def _skills(manifest: Manifest) -> Sequence[dict[str, Any]]:
    return [
        {**skill.model_dump(mode="json"), "package": manifest.slug, "version": manifest.version}
        for skill in manifest.provides.skills
    ]


async def _digests(session: AsyncSession, slug: str | None = None) -> dict[tuple[str, str], str]:
    query = select(PackageVersion.package, PackageVersion.version, PackageVersion.digest)
    if slug is not None:
        query = query.where(PackageVersion.package == slug)
    return {(row[0], row[1]): row[2] for row in await session.execute(query)}


def _published_otherwise(label: str) -> FleetPromptError:
    return Conflict(
        f"{label} is published with another content.", "Published versions never change: raise its version."
    )
