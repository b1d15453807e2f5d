"""requested, failed or needs_config -> installing -> installed."""

from __future__ import annotations

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.model import Directive, Installation, InstallationHealth
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import directory
from fleetprompt.packages.default_agent import ensure_agent
from fleetprompt.packages.dependents import hold_needs
from fleetprompt.packages.failures import MENDED_BY_SETTINGS
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import recheck, require_needs
from fleetprompt.packages.provision import provision
from fleetprompt.packages.steps.base import (
    Act,
    Begun,
    Done,
    Tried,
    has_begun,
    held,
    receipt_of,
    tell_failed,
    tell_step,
)
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession

BEGUN = (InstallationState.REQUESTED, InstallationState.INSTALLING)


class Install(Tried):
    """The settings are tried, then everything is there at once."""

    async def check(self, act: Act, installation: Installation) -> Manifest | None:
        """What it needs may have gone since it was asked for."""
        manifest = await recheck(act.house.tenancy.database, installation)
        if installation.state != InstallationState.INSTALLED:
            await require_needs(act.house, act.effect.tenant, manifest)
        return manifest

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """Start, unless it is installed."""
        installation = await held(act, session)
        if installation.state == InstallationState.INSTALLED:
            return Done(receipt_of(installation))
        if installation.state != InstallationState.INSTALLING:
            cleared = {"error": None, "error_code": None, "updated_at": func.now()}
            await move(session, installation, InstallationState.INSTALLING, **cleared)
            await tell_step(act, session, installation, "package.install.started")
        secrets = await act.house.vault.read_all(session, installation.id)
        return Begun(installation.package, installation.config, secrets)

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """Installed: its account, its moment, its health, and an agent to answer."""
        installation, house, probe = await held(act, session), act.house, act.probe
        await hold_needs(session, act.signed)
        installer = house.installers.find(installation.package)
        since_ms = installer.since_ms(installation.config)
        values = {
            "account": probe.account,
            "start_at_ms": probe.now_ms if since_ms is None else since_ms,
            "error": None,
            "error_code": None,
            "updated_at": func.now(),
        }
        await move(session, installation, InstallationState.INSTALLED, **values)
        made = await provision(session, house.registry, installation, act.signed, act.actor)
        receipt = {**receipt_of(installation), **made.receipt()}
        if not installer.listens:
            await tell_step(act, session, installation, "package.install.completed", **made.receipt())
            return Done(receipt)
        await _start_health(session, installation)
        agent = await ensure_agent(session, house.registry, installation.config, act.actor)
        receipt |= {"agent": agent.name, "agent_is_new": agent.is_new}
        await tell_step(act, session, installation, "package.install.completed", agent=agent.name)
        await directory.enroll(session, installation, enabled=True)
        return Done(receipt)

    async def failed(
        self, house: House, session: TenantSession, directive: Directive, installation: Installation
    ) -> None:
        """It must not be left `installing`: what settings can mend waits for them."""
        if installation.state not in BEGUN or (
            installation.state == InstallationState.INSTALLING and not has_begun(directive)
        ):
            return
        mendable = directive.error_code in MENDED_BY_SETTINGS
        waits = mendable and installation.state == InstallationState.INSTALLING
        target = InstallationState.NEEDS_CONFIG if waits else InstallationState.FAILED
        why = {"error": directive.error, "error_code": directive.error_code, "updated_at": func.now()}
        await move(session, installation, target, **why)
        await tell_failed(house, session, installation, directive, "package.install.failed")


async def _start_health(session: TenantSession, installation: Installation) -> None:
    health = insert(InstallationHealth).values(
        installation_id=installation.id, state="connecting", since=func.now()
    )
    await session.execute(health.on_conflict_do_nothing())
