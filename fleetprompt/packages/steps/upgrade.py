"""installed -> upgrading -> installed: another version takes over in one transaction, if it works.

    begin     upgrading; the version that runs goes on hearing and posting    (one commit)
    attempt   the new version tries the far side with the migrated settings
    complete  version, settings, secrets and what it provides change; the version left is kept    (one commit)

What rests stays at rest, but for one that was stopped because its version was revoked: that runs again.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import Directive, Installation
from fleetprompt.model.installation import InstallationVersion
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import directory
from fleetprompt.packages.dependents import around, hold_needs, require_same_around
from fleetprompt.packages.grants import consent, return_to
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import require_installer
from fleetprompt.packages.provision import provision
from fleetprompt.packages.resume import run_soon, unblock
from fleetprompt.packages.steps.base import (
    Act,
    Begun,
    Done,
    Tried,
    has_begun,
    held,
    is_staged,
    receipt_of,
    require_generation,
    start_afresh,
    tell_failed,
    tell_step,
)
from fleetprompt.packages.targets import target_of
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession

RUNS_OR_RESTS: Final = (
    InstallationState.INSTALLED,
    InstallationState.DISABLED,
    InstallationState.UPGRADING,
)


class Upgrade(Tried):
    """The version that a directive names takes the place of the one there."""

    verb = "upgrade"

    async def check(self, act: Act, installation: Installation) -> Manifest | None:
        """The target may have been revoked, and what is around it changed, since it was asked for."""
        async with act.house.tenancy.session(act.effect.tenant) as session:
            act.around = await around(session, installation)
        target = await target_of(act.house, act.effect.tenant, installation, act.request["to"])
        if target.digest != act.request["to_digest"]:
            raise Conflict(f"{target.manifest.label} is not the one that was shown.", "Ask again.")
        return target.manifest

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """What runs goes on; what rests is not woken for this."""
        installation = await held(act, session)
        is_there = installation.version == act.request["to"] and not await is_staged(session, act)
        if is_there and installation.generation == act.request["generation"] + 1:
            return Done(receipt_of(installation))
        require_generation(installation, act)
        if installation.state not in RUNS_OR_RESTS:
            raise Conflict(f"{installation.package} is {installation.state}.", "See: package status.")
        if installation.state == InstallationState.INSTALLED:
            await move(session, installation, InstallationState.UPGRADING, updated_at=func.now())
            told = f"package.{self.verb}.started"
            await tell_step(act, session, installation, told, to=act.request["to"])
        secrets = await act.house.vault.read_all(session, installation.id, label=act.request["label"])
        return Begun(installation.package, act.request["config"], secrets)

    async def attempt(self, act: Act, begun: Begun) -> Probe | None:
        """The far side took its time: what was true before may not be any more."""
        found = await super().attempt(act, begun)
        async with act.house.tenancy.session(act.effect.tenant) as session:
            installation = await session.get_one(Installation, UUID(act.request["installation_id"]))
        act.manifest = await self.check(act, installation)
        return found

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """The new version is in force, with all that goes with it."""
        installation, house = await held(act, session), act.house
        require_generation(installation, act)
        await require_same_around(session, installation, act.around)
        await hold_needs(session, act.signed)
        former, stays_off = installation.version, _stays_off(installation)
        if installation.state == InstallationState.DISABLED:
            await move(session, installation, InstallationState.UPGRADING)
        if require_installer(house, act.signed).listens and (
            installation.account.get("key") != act.probe.key
        ):
            await start_afresh(session, installation.id)
            installation.start_at_ms = act.probe.now_ms
        await self._keep(act, session, installation)
        await _switch(act, session, installation, stays_off)
        await house.vault.adopt(session, installation.id, act.request["label"])
        await consent(session, installation.id, act.signed, act.actor, act.request["grant"])
        made = await provision(session, house.registry, installation, act.signed, act.actor)
        told = {"from_version": former, "wider": act.request["wider"], **made.receipt()}
        await tell_step(act, session, installation, f"package.{self.verb}.completed", **told)
        receipt = {**receipt_of(installation), "from_version": former, **made.receipt()}
        await _connect(act, session, installation, is_on=not stays_off)
        return Done(receipt)

    async def failed(
        self, house: House, session: TenantSession, directive: Directive, installation: Installation
    ) -> None:
        """The version that was there is there."""
        await house.vault.drop(session, installation.id, directive.arguments["label"])
        if installation.state == InstallationState.UPGRADING and has_begun(directive):
            why = {"error": directive.error, "error_code": directive.error_code, "updated_at": func.now()}
            await move(session, installation, InstallationState.INSTALLED, **why)
        await tell_failed(house, session, installation, directive, f"package.{self.verb}.failed")

    async def _keep(self, act: Act, session: TenantSession, installation: Installation) -> None:
        """A snapshot of what is left, for a rollback."""
        last = select(func.max(InstallationVersion.number)).where(
            InstallationVersion.installation_id == installation.id
        )
        session.add(
            InstallationVersion(
                installation_id=installation.id,
                number=(await session.scalar(last) or 0) + 1,
                version=installation.version,
                package_digest=installation.package_digest,
                config_version=installation.config_version,
                config=installation.config,
                left_by=self.verb,
                left_for=act.request["to"],
                directive_id=act.effect.directive_id,
            )
        )
        await session.flush()


class Rollback(Upgrade):
    """The version that the last upgrade left comes back, with its settings as they were then."""

    verb = "rollback"

    async def _keep(self, act: Act, session: TenantSession, installation: Installation) -> None:
        """The version that is come back to is no longer one to come back to."""
        await super()._keep(act, session, installation)
        this = (
            InstallationVersion.installation_id == installation.id,
            InstallationVersion.number == act.request["number"],
        )
        await session.execute(update(InstallationVersion).where(*this).values(returned_at=func.now()))
        await return_to(session, installation.id, act.request["number"])


def _stays_off(installation: Installation) -> bool:
    return installation.state == InstallationState.DISABLED and installation.blocked is None


async def _switch(act: Act, session: TenantSession, installation: Installation, stays_off: bool) -> None:
    values: dict[str, Any] = {
        "version": act.request["to"],
        "package_digest": act.request["to_digest"],
        "config_version": act.signed.config.version,
        "config": act.request["config"],
        "account": act.probe.account,
        "generation": installation.generation + 1,
        "blocked": None,
        "error": None,
        "error_code": None,
        "updated_at": func.now(),
    }
    target = InstallationState.DISABLED if stays_off else InstallationState.INSTALLED
    await move(session, installation, target, **values)


async def _connect(act: Act, session: TenantSession, installation: Installation, *, is_on: bool) -> None:
    waiting = await unblock(session, installation.id)
    if require_installer(act.house, act.signed).listens:
        await directory.enroll(session, installation, enabled=is_on)
    await run_soon(session, waiting)
