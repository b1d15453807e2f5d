"""The packages' entries in the registry: lifecycle directives, their signals, and what follows when one fails."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from fleetprompt.model import Directive, Installation
from fleetprompt.model.states import DirectiveState, InstallationState
from fleetprompt.packages.house import House
from fleetprompt.packages.runner import LifecycleEffector, PackageArguments
from fleetprompt.packages.steps import Configure, Disable, Enable, Install, Step, Uninstall
from fleetprompt.packages.telling import NAMES, tell
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

MAX_FAILURES: Final = 2  # a person waits for the answer: three tries within some seconds
STEPS: Final[dict[str, tuple[str, Step]]] = {
    "package.install": ("Install a package.", Install()),
    "package.configure": ("Change an installation's settings.", Configure()),
    "package.enable": ("Let an installation listen and post again.", Enable()),
    "package.disable": ("Keep an installation from listening and posting.", Disable()),
    "package.uninstall": ("Remove an installation.", Uninstall()),
}
MENDED_BY_SETTINGS: Final = ("auth", "config")


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

    registry.settled.append(settled)


async def _failed(house: House, session: TenantSession, directive: Directive) -> None:
    """An installation must not be left `installing` by a directive that has ended."""
    query = select(Installation).where(Installation.id == directive.installation_id)
    installation = await session.scalar(query.with_for_update())
    if installation is None:
        return
    if directive.name == "package.configure":
        await house.vault.drop(session, installation.id, directive.arguments["label"])
    begun = (InstallationState.REQUESTED, InstallationState.INSTALLING)
    if directive.name != "package.install" or installation.state not in begun:
        return
    needs_config = directive.error_code in MENDED_BY_SETTINGS and (
        installation.state == InstallationState.INSTALLING
    )
    target = InstallationState.NEEDS_CONFIG if needs_config else InstallationState.FAILED
    await move(session, installation, target, error=directive.error, updated_at=func.now())
    await tell(
        session,
        house.registry,
        installation,
        "package.install.failed",
        Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        attempt=directive.attempt,
        error_code=directive.error_code,
        error=directive.error,
    )
