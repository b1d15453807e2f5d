"""The packages' entries in the registry: lifecycle directives, their signals, and what follows when one fails."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from fleetprompt.accounts import NotAllowed, Role
from fleetprompt.model import Directive, Installation
from fleetprompt.model.states import DirectiveState
from fleetprompt.packages.attaching import register_skills
from fleetprompt.packages.blocking import OFTEN, block_kind
from fleetprompt.packages.house import House
from fleetprompt.packages.purging import DAILY, purge_kind
from fleetprompt.packages.runner import LifecycleEffector, PackageArguments
from fleetprompt.packages.steps import Configure, Disable, Enable, Install, Rollback, Step, Uninstall, Upgrade
from fleetprompt.packages.telling import NAMES
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.people import require_right
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

MAX_FAILURES: Final = 2  # a person waits for the answer: three tries within some seconds
STEPS: Final[dict[str, tuple[str, Step]]] = {
    "package.install": ("Install a package.", Install()),
    "package.configure": ("Change an installation's settings.", Configure()),
    "package.enable": ("Let an installation listen and post again.", Enable()),
    "package.disable": ("Keep an installation from listening and posting.", Disable()),
    "package.upgrade": ("Let another version take an installation over.", Upgrade()),
    "package.rollback": ("Let the former version take an installation over again.", Rollback()),
    "package.uninstall": ("Remove an installation.", Uninstall()),
}


def register_packages(house: House) -> None:
    """Called once by a composition root, after the runtime registered."""
    registry = house.registry
    for name, about in NAMES.items():
        registry.add_signal(name, about, retention="lifecycle")
    for name, (about, step) in STEPS.items():
        effector = LifecycleEffector(house, step)
        registry.add_directive(DirectiveType(name, about, PackageArguments, effector, MAX_FAILURES))

    async def settled(session: TenantSession, directive: Directive) -> None:
        if directive.name in STEPS and directive.state != DirectiveState.SUCCEEDED:
            await _failed(house, session, directive)

    for kind in (block_kind(house), purge_kind(house)):
        registry.add_job(kind)
    for recurring in (OFTEN, DAILY):
        registry.add_recurring(recurring)
    register_skills(house)
    registry.settled.append(settled)
    registry.rechecks.append(_recheck_right)


async def _recheck_right(session: TenantSession, directive: Directive) -> str | None:
    """Whoever asked must still be an admin when it is done."""
    if directive.name not in STEPS:
        return None
    try:
        await require_right(session, Actor(directive.actor_kind, directive.actor_id), Role.ADMIN)
    except NotAllowed as error:
        return f"{error.what} An admin of the organization may ask for it."
    return None


async def _failed(house: House, session: TenantSession, directive: Directive) -> None:
    """An installation must not be left between by a directive that has ended."""
    query = select(Installation).where(Installation.id == directive.installation_id)
    installation = await session.scalar(query.with_for_update())
    if installation is not None:
        _, step = STEPS[directive.name]
        await step.failed(house, session, directive, installation)
