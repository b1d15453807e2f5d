"""Who needs a package that is installed: it can neither go nor become a version that they cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.errors import Conflict, FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.ranges import VersionRange, parse_version
from fleetprompt.packages.planning import PRESENT
from fleetprompt.packages.published import find_version
from fleetprompt.tenancy import TenantSession

Around = frozenset[tuple[UUID, str]]


async def refuse_needed(house: House, tenant: TenantSlug, installation: Installation) -> None:
    """Raises Conflict, naming them, if its removal leaves another installation without what it needs."""
    needing = await needed_by(house, tenant, installation, None)
    if needing:
        listed = ", ".join(needing)
        raise Conflict(
            f"{installation.package} is needed by {listed}.",
            f"Uninstall that first: fleetprompt package uninstall {needing[0]} --org {tenant}",
        )


async def needed_by(
    house: House, tenant: TenantSlug, installation: Installation, version: str | None
) -> list[str]:
    """The packages that could not work if it became this version; None = if it went."""
    async with house.tenancy.session(tenant) as session:
        live = await live_installations(session)
    rest = [one.version for one in live if one.package == installation.package and one.id != installation.id]
    offered = [*rest, version] if version is not None else rest
    found = set[str]()
    for one in live:
        if one.id != installation.id and one.package not in found:
            for needed in await _ranges(house, one, installation.package):
                if not any(needed.admits(parse_version(offer)) for offer in offered):
                    found.add(one.package)
    return sorted(found)


async def _ranges(house: House, one: Installation, package: str) -> Sequence[VersionRange]:
    """What it asks of the package. A version that cannot be read asks nothing: it keeps nobody from anything."""
    try:
        manifest = (await find_version(house.tenancy.database, one.package, one.version)).verified()
    except FleetPromptError:
        return []
    return [VersionRange.parse(need.version) for need in manifest.requires if need.package == package]


async def around(session: TenantSession, installation: Installation) -> Around:
    """All other installations, with their versions: whoever looks whether one of them needs this notes them first."""
    live = await live_installations(session)
    return frozenset((one.id, one.version) for one in live if one.id != installation.id)


async def require_same_around(session: TenantSession, installation: Installation, seen: Around) -> None:
    """In the transaction that changes it. Raises Conflict if one has come of which nobody looked what it needs."""
    if await around(session, installation) - seen:
        raise Conflict("Another package was installed or changed at this very moment.", "Ask again.")


async def hold_needs(session: TenantSession, manifest: Manifest) -> None:
    """What it needs stays until the end of this transaction. Raises Conflict for what has just gone or changed."""
    for need in manifest.requires:
        query = select(Installation).where(Installation.package == need.package)
        rows = await session.scalars(query.where(Installation.state.in_(PRESENT)).with_for_update(read=True))
        wanted = VersionRange.parse(need.version)
        if not any(wanted.admits(parse_version(row.version)) for row in rows):
            raise Conflict(
                f"{manifest.label} needs {need.package} {need.version}, which has just gone.",
                f"Look: fleetprompt package status {need.package}",
            )
