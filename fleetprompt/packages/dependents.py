"""Who needs a package that is installed: it can neither go nor become a version that they cannot use."""

from __future__ import annotations

from collections.abc import Sequence

from fleetprompt.kernel.errors import Conflict, FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest.ranges import VersionRange, parse_version
from fleetprompt.packages.published import find_version


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
