"""Enable, disable, uninstall: nothing to be said but which installation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import InstallationId, TenantSlug
from fleetprompt.model import Directive
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.asking import IN_USE, UNFINISHED, Asked, ask, require_state
from fleetprompt.packages.blocking import why_blocked
from fleetprompt.packages.dependents import refuse_needed
from fleetprompt.packages.find import find_installation
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import Requested
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get


async def enable(
    house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "", catch_up: bool = False
) -> Asked:
    """Listen and post again. Raises Conflict for a version that is revoked.

    catch_up: from where reading ended, as after a pause; otherwise what was written meanwhile is history.
    """
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
    if installation.blocked is not None:
        raise Conflict(*why_blocked(package, installation.version, installation.blocked))
    more = {"catch_up": True} if catch_up else {}  # programs of before know no such argument
    return await _change(house, tenant, package, name, "enable", actor, InstallationState.DISABLED, more=more)


async def disable(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Neither listen nor post, until enabled again."""
    return await _change(house, tenant, package, name, "disable", actor, InstallationState.INSTALLED)


async def uninstall(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Forget secrets and position, free the account, remove what it provided; what happened stays on record.

    Raises Conflict, naming them, if other installations need it.
    """
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
    if installation.state != InstallationState.UNINSTALLING:
        await refuse_needed(house, tenant, installation)
    states = (*IN_USE, *UNFINISHED, InstallationState.UNINSTALLING)
    return await _change(house, tenant, package, name, "uninstall", actor, *states)


async def _require_same(session: TenantSession, asked: Requested, more: Mapping[str, Any]) -> None:
    """Raises Conflict where the same was asked for in another way, and is not done yet."""
    directive = await get(session, Directive, asked.id)
    if directive is not None and any(directive.arguments.get(name) != value for name, value in more.items()):
        raise Conflict(
            "The same was asked for in another way, and is under way.",
            "Look at it: fleetprompt directives list. Disable and enable the installation once more.",
        )


async def _change(
    house: House,
    tenant: TenantSlug,
    package: str,
    name: str,
    verb: str,
    actor: Actor,
    *states: InstallationState,
    more: Mapping[str, Any] | None = None,
) -> Asked:
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        require_state(installation, *states)
        is_going = installation.state == InstallationState.UNINSTALLING
        key = f"{installation.id}:{installation.generation - is_going}"  # its directive was asked before that began
        asked = await ask(house, session, installation, verb, key, actor, more=more)
        if not asked.fresh and more:
            await _require_same(session, asked, more)
        return Asked(InstallationId(installation.id), asked.id)
