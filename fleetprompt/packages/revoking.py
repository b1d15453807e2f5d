"""A credential is taken away: sealed or not, it is gone from then on, and what cannot work without it rests."""

from __future__ import annotations

from uuid import UUID

from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import lifecycle
from fleetprompt.packages.house import House
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.installers import Installer, nearest
from fleetprompt.runtime.signals import Actor, NewSignal, emit

REVOKED = "secret.revoked"
AT_WORK = (InstallationState.INSTALLED, InstallationState.INSTALLING, InstallationState.UPGRADING)


def named_secret(installer: Installer, wanted: str | None) -> str:
    """The secret that is meant; None = the only one that it cannot work without. Raises InvalidInput."""
    takes = (*installer.secrets, *installer.optional_secrets)
    if wanted in takes:
        return str(wanted)
    if wanted is None and len(installer.secrets) == 1:
        return installer.secrets[0]
    if not takes:
        raise InvalidInput(f"{installer.package} takes no secret.")
    if wanted is None:
        raise InvalidInput(f"{installer.package} takes several secrets.", f"Say which: {', '.join(takes)}.")
    raise InvalidInput(f"{installer.package} has no secret {wanted[:60]!r}.", nearest(wanted, takes))


async def revoke_secret(
    house: House, tenant: TenantSlug, installation_id: UUID, credential: str, actor: Actor
) -> str:
    """Disable what needs it, then forget it; returns the installation's state. The same once more is fine.

    Raises NotFound, or Conflict while it is being changed or could not be disabled.
    """
    async with house.tenancy.session(tenant) as session:
        installation = await session.get(Installation, installation_id)
    if installation is None:
        raise NotFound("There is no such installation.", "See: fleetprompt package status")
    installer = house.installers.find(installation.package)
    if credential in installer.secrets and installation.state == InstallationState.INSTALLED:
        await _disable(house, tenant, installation, actor)
    async with house.tenancy.session(tenant) as session:
        held = await session.get(Installation, installation_id, with_for_update=True)
        assert held is not None
        if credential in installer.secrets:
            if held.state in AT_WORK:
                raise Conflict(f"{held.package} is {held.state} at this very moment.", "Ask again.")
            held.generation += 1  # whoever tries it with this credential just now does not let it run
        await house.vault.take_away(session, installation_id, credential)
        payload = {"installation_id": str(installation_id), "package": held.package, "credential": credential}
        new = NewSignal(
            REVOKED, payload, actor, dedupe_key=f"{REVOKED}:{new_id()}", installation_id=installation_id
        )
        await emit(session, house.registry, new)
        return held.state


async def _disable(house: House, tenant: TenantSlug, installation: Installation, actor: Actor) -> None:
    asked = await lifecycle.disable(house, tenant, installation.package, actor=actor, name=installation.name)
    ended = await run_now(house, tenant, asked.directive_id)
    if not ended.succeeded:
        raise Conflict(ended.error or f"{installation.package} could not be disabled.", "Ask again.")
