"""What every step of an installation's life is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Credential, Directive, Installation, InstallationCursor, InstallationHealth
from fleetprompt.packages.dependents import Around
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import recheck
from fleetprompt.packages.secrets import STAGED
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.directives import EffectTry
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


@dataclass(slots=True)
class Act:
    """One run of a step. manifest, around: what `check` read; found: what `attempt` saw of the far side."""

    house: House
    effect: EffectTry
    manifest: Manifest | None = None
    found: Probe | None = None
    around: Around = frozenset()

    @property
    def request(self) -> Mapping[str, Any]:
        """The directive's arguments, with `actor` and `correlation_id`."""
        return self.effect.request

    @property
    def probe(self) -> Probe:
        """Of a step that tries the far side."""
        assert self.found is not None, "this step does not try the far side"
        return self.found

    @property
    def signed(self) -> Manifest:
        """The manifest of a step that needs it."""
        assert self.manifest is not None, "this step does not read the manifest"
        return self.manifest

    @property
    def actor(self) -> Actor:
        """Who asked."""
        return Actor(**self.request["actor"])


class Step(ABC):
    """One kind of lifecycle directive; each part may be repeated after a death."""

    async def check(self, act: Act, installation: Installation) -> Manifest | None:
        """Before anything is touched, outside any transaction. Raises what forbids it."""
        return None

    @abstractmethod
    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """Note that it is under way; Done if it has happened already. Raises Conflict if it cannot be."""

    async def attempt(self, act: Act, begun: Begun) -> Probe | None:
        """What takes time, outside any transaction. Raises ProbeFailed."""
        return None

    @abstractmethod
    async def complete(self, act: Act, session: TenantSession) -> Done:
        """Make it so; the directory is changed last, since that lays the tenant's role down."""

    async def failed(  # noqa: B027 (most leave nothing between)
        self, house: House, session: TenantSession, directive: Directive, installation: Installation
    ) -> None:
        """Its directive ends without success, in this transaction: leave nothing between."""


class Tried(Step):
    """A step that tries the far side with what `begin` gives."""

    async def check(self, act: Act, installation: Installation) -> Manifest | None:
        """What was chosen may have been revoked, or tampered with, since it was asked for."""
        return await recheck(act.house.tenancy.database, installation)

    async def attempt(self, act: Act, begun: Begun) -> Probe | None:
        """Live, by the very adapter that will run."""
        return await act.house.installers.find(begun.package).probe(begun.config, begun.secrets)


async def locked(session: TenantSession, installation_id: UUID | str) -> Installation:
    """The installation, held until the end of the transaction."""
    query = select(Installation).where(Installation.id == UUID(str(installation_id)))
    installation = await session.scalar(query.with_for_update())
    assert installation is not None
    return installation


async def held(act: Act, session: TenantSession) -> Installation:
    """The installation of a step, held."""
    return await locked(session, act.request["installation_id"])


def require_generation(installation: Installation, act: Act) -> None:
    """Raises Conflict if somebody changed it since this was asked for."""
    if installation.generation != act.request["generation"]:
        raise Conflict(f"{installation.package} was changed meanwhile.", "Look at it again, then ask again.")


async def is_staged(session: TenantSession, act: Act) -> bool:
    """Whether secrets that came along are still to be put in force: then it has not been done, whoever did the like."""
    name = Credential.name.endswith(f"{STAGED}{act.request['label']}", autoescape=True)
    query = select(Credential.id).where(
        Credential.installation_id == UUID(act.request["installation_id"]), name
    )
    return await session.scalar(query.limit(1)) is not None


def has_begun(directive: Directive) -> bool:
    """Whether it ever ran: one that was withdrawn before that left nothing, whatever another one is about."""
    return directive.attempt > 0


async def start_afresh(session: TenantSession, installation_id: UUID) -> None:
    """Forget how far the far side was read."""
    cursor = delete(InstallationCursor).where(InstallationCursor.installation_id == installation_id)
    await session.execute(cursor)
    quiet = update(InstallationHealth).where(InstallationHealth.installation_id == installation_id)
    await session.execute(quiet.values(failures=0, blocked_until=None, backlog=0))


async def tell_step(
    act: Act, session: TenantSession, installation: Installation, name: str, **more: Any
) -> None:
    """A signal of this directive."""
    links = {"correlation_id": UUID(act.request["correlation_id"]), "causation_id": act.effect.directive_id}
    await tell(session, act.house.registry, installation, name, act.actor, **links, **more)


async def tell_failed(
    house: House, session: TenantSession, installation: Installation, directive: Directive, name: str
) -> None:
    """Why a directive ended without success."""
    await tell(
        session,
        house.registry,
        installation,
        name,
        Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        attempt=directive.attempt,
        error_code=directive.error_code,
        error=directive.error,
    )


def receipt_of(installation: Installation) -> dict[str, Any]:
    """What a directive's result says of the installation."""
    return {
        "installation_id": str(installation.id),
        "package": installation.package,
        "version": installation.version,
        "state": str(installation.state),
        "account": {key: installation.account.get(key) for key in ("id", "name", "server_version")},
    }
