"""The steps of an installation's life. Each says what it begins with, whether it tries the far side, what it completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation, InstallationCursor, InstallationHealth
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import directory
from fleetprompt.packages.default_agent import ensure_agent
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe
from fleetprompt.packages.resume import run_soon, unblock
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.directives import EffectTry
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class Begun:
    """What the far side is tried with."""

    package: str
    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class Done:
    """It is so now. receipt: JSON without secrets."""

    receipt: dict[str, Any] = field(default_factory=dict)


class Step(Protocol):
    """One kind of lifecycle directive."""

    probes: bool

    async def begin(self, house: House, session: TenantSession, effect: EffectTry) -> Begun | Done:
        """Note that it is under way; Done if it has happened already. Raises Conflict if it cannot be."""
        ...

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """Make it so; the directory is changed last, since that lays the tenant's role down."""
        ...


class Install:
    """requested, failed or needs_config -> installing -> installed."""

    probes = True

    async def begin(self, house: House, session: TenantSession, effect: EffectTry) -> Begun | Done:
        """Start, unless it is installed."""
        installation = await locked(session, effect)
        if installation.state == InstallationState.INSTALLED:
            return Done(receipt_of(installation))
        if installation.state != InstallationState.INSTALLING:
            await move(session, installation, InstallationState.INSTALLING, error=None, updated_at=func.now())
            await tell_step(house, session, installation, effect, "package.install.started")
        secrets = await house.vault.read_all(session, installation.id)
        return Begun(installation.package, installation.config, secrets)

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """Installed: its account, its moment, its health, and an agent to answer."""
        assert probe is not None
        installation = await locked(session, effect)
        since_ms = house.installers.find(installation.package).since_ms(installation.config)
        values = {
            "account": probe.account,
            "start_at_ms": probe.now_ms if since_ms is None else since_ms,
            "error": None,
            "updated_at": func.now(),
        }
        await move(session, installation, InstallationState.INSTALLED, **values)
        health = insert(InstallationHealth).values(
            installation_id=installation.id, state="connecting", since=func.now()
        )
        await session.execute(health.on_conflict_do_nothing())
        agent = await ensure_agent(session, house.registry, installation.config, actor_of(effect))
        receipt = {**receipt_of(installation), "agent": agent.name, "agent_is_new": agent.is_new}
        await tell_step(house, session, installation, effect, "package.install.completed", agent=agent.name)
        if house.installers.find(installation.package).listens:
            await directory.enroll(session, installation, enabled=True)
        return Done(receipt)


class Configure:
    """Another configuration takes over, if it works."""

    probes = True

    async def begin(self, house: House, session: TenantSession, effect: EffectTry) -> Begun | Done:
        """Nothing changes yet."""
        installation = await locked(session, effect)
        if installation.generation == effect.request["generation"] + 1 and (
            installation.config == effect.request["config"]
        ):
            return Done(receipt_of(installation))
        require_generation(installation, effect)
        secrets = await house.vault.read_all(session, installation.id, label=effect.request["label"])
        return Begun(installation.package, effect.request["config"], secrets)

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """The new settings and secrets are in force; another account starts afresh."""
        assert probe is not None
        installation = await locked(session, effect)
        require_generation(installation, effect)
        if installation.account.get("key") != probe.key:
            await start_afresh(session, installation.id)
            installation.start_at_ms = probe.now_ms
        installation.config, installation.account = effect.request["config"], probe.account
        installation.generation += 1
        await session.flush()
        await house.vault.adopt(session, installation.id, effect.request["label"])
        changed = effect.request["changed"]
        await tell_step(house, session, installation, effect, "package.configured", changed=changed)
        receipt, waiting = receipt_of(installation), await unblock(session, installation.id)
        if house.installers.find(installation.package).listens:
            is_on = installation.state == InstallationState.INSTALLED
            await directory.enroll(session, installation, enabled=is_on)
        await run_soon(session, waiting)
        return Done(receipt)


class Enable:
    """disabled -> installed; what was written meanwhile is history."""

    probes = True

    async def begin(self, house: House, session: TenantSession, effect: EffectTry) -> Begun | Done:
        """Nothing changes yet."""
        installation = await locked(session, effect)
        if installation.state == InstallationState.INSTALLED:
            return Done(receipt_of(installation))
        require_generation(installation, effect)
        secrets = await house.vault.read_all(session, installation.id)
        return Begun(installation.package, installation.config, secrets)

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """Listen from now on."""
        assert probe is not None
        installation = await locked(session, effect)
        require_generation(installation, effect)
        await start_afresh(session, installation.id)
        values = {
            "account": probe.account,
            "start_at_ms": probe.now_ms,
            "generation": installation.generation + 1,
        }
        await move(session, installation, InstallationState.INSTALLED, updated_at=func.now(), **values)
        await tell_step(house, session, installation, effect, "package.enabled")
        receipt = receipt_of(installation)
        if house.installers.find(installation.package).listens:
            await directory.enroll(session, installation, enabled=True)
        return Done(receipt)


class _End:
    """What brings an installation to rest: the far side is not asked."""

    probes = False
    rest: InstallationState

    async def begin(self, house: House, session: TenantSession, effect: EffectTry) -> Begun | Done:
        """Done if it rests."""
        installation = await locked(session, effect)
        if installation.state == self.rest:
            return Done(receipt_of(installation))
        return Begun(installation.package, {}, {})


class Disable(_End):
    """installed -> disabled."""

    rest = InstallationState.DISABLED

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """Its listener sees it within a second."""
        installation = await locked(session, effect)
        values = {"generation": installation.generation + 1, "updated_at": func.now()}
        await move(session, installation, InstallationState.DISABLED, **values)
        await tell_step(house, session, installation, effect, "package.disabled")
        receipt = receipt_of(installation)
        await directory.disable(session, installation)
        return Done(receipt)


class Uninstall(_End):
    """-> uninstalling -> uninstalled: secrets, position and account are given up, the record stays."""

    rest = InstallationState.UNINSTALLED

    async def complete(
        self, house: House, session: TenantSession, effect: EffectTry, probe: Probe | None
    ) -> Done:
        """All in one transaction, so nothing is half gone."""
        installation = await locked(session, effect)
        await move(
            session, installation, InstallationState.UNINSTALLING, generation=installation.generation + 1
        )
        await house.vault.forget(session, installation.id)
        await start_afresh(session, installation.id)
        await session.execute(
            delete(InstallationHealth).where(InstallationHealth.installation_id == installation.id)
        )
        await move(session, installation, InstallationState.UNINSTALLED, error=None, updated_at=func.now())
        await tell_step(house, session, installation, effect, "package.uninstalled")
        receipt = receipt_of(installation)
        await directory.remove(session, installation)
        return Done(receipt)


async def locked(session: TenantSession, effect: EffectTry) -> Installation:
    """The installation, held until the end of the transaction."""
    query = select(Installation).where(Installation.id == UUID(effect.request["installation_id"]))
    installation = await session.scalar(query.with_for_update())
    assert installation is not None
    return installation


def require_generation(installation: Installation, effect: EffectTry) -> None:
    """Raises Conflict if somebody changed it since this was asked for."""
    if installation.generation != effect.request["generation"]:
        raise Conflict(f"{installation.package} was changed meanwhile.", "Look at it again, then ask again.")


async def start_afresh(session: TenantSession, installation_id: UUID) -> None:
    """Forget how far the far side was read."""
    cursor = delete(InstallationCursor).where(InstallationCursor.installation_id == installation_id)
    await session.execute(cursor)
    quiet = update(InstallationHealth).where(InstallationHealth.installation_id == installation_id)
    await session.execute(quiet.values(failures=0, blocked_until=None, backlog=0))


def actor_of(effect: EffectTry) -> Actor:
    """Who asked."""
    return Actor(**effect.request["actor"])


async def tell_step(
    house: House,
    session: TenantSession,
    installation: Installation,
    effect: EffectTry,
    name: str,
    **more: Any,
) -> None:
    """A signal of this directive."""
    links = {"correlation_id": UUID(effect.request["correlation_id"]), "causation_id": effect.directive_id}
    await tell(session, house.registry, installation, name, actor_of(effect), **links, **more)


def receipt_of(installation: Installation) -> dict[str, Any]:
    """What a directive's result says of the installation."""
    return {
        "installation_id": str(installation.id),
        "package": installation.package,
        "state": str(installation.state),
        "account": {key: installation.account.get(key) for key in ("id", "name", "server_version")},
    }
