"""The version that an installation is to become: in the registry, usable here, and by all that is around it."""

from __future__ import annotations

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.dependents import needed_by
from fleetprompt.packages.house import House
from fleetprompt.packages.planning import Chosen, choose_for


async def target_of(
    house: House, tenant: TenantSlug, installation: Installation, version: str | None
) -> Chosen:
    """version: None = the highest that is not withdrawn.

    Raises what `choose_for` raises, or Conflict if another installation could not work with it.
    """
    pinned = installation.package if version is None else f"{installation.package}@{version}"
    chosen = await choose_for(house, tenant, pinned)
    needing = await needed_by(house, tenant, installation, chosen.manifest.version)
    if needing:
        listed = ", ".join(needing)
        raise Conflict(
            f"{listed} cannot work with {chosen.manifest.label}.",
            f"Upgrade that first: fleetprompt package upgrade {needing[0]} --org {tenant}",
        )
    return chosen
