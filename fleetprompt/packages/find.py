"""Finding an installation by what a person calls it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.model import Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.installers import nearest
from fleetprompt.tenancy import TenantSession


async def live_installations(session: TenantSession, package: str | None = None) -> Sequence[Installation]:
    """All that are not uninstalled, by package and name."""
    query = select(Installation).where(Installation.state != InstallationState.UNINSTALLED)
    if package is not None:
        query = query.where(Installation.package == package)
    return list(await session.scalars(query.order_by(Installation.package, Installation.name)))


async def find_installation(session: TenantSession, package: str, name: str = "") -> Installation:
    """The one of this name; without a name the only one. Raises NotFound, or Conflict when there are several."""
    found = await live_installations(session, package)
    named = [one for one in found if one.name == name]
    if named:
        return named[0]
    if not found:
        raise NotFound(f"{package} is not installed here.", f"fleetprompt package install {package}")
    names = [one.name for one in found]
    if name:
        raise NotFound(f"There is no installation {name!r} of {package}.", nearest(name, names))
    if len(found) == 1:
        return found[0]
    raise Conflict(f"There are several installations of {package}.", f"Say which: --name {' | '.join(names)}")
