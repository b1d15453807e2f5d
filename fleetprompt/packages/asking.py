"""The directive of each verb: recorded once for one state of an installation, and anew after one that did not succeed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import DirectiveId, InstallationId
from fleetprompt.model import Installation
from fleetprompt.model.states import DirectiveState, InstallationState
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import NewDirective, Requested, request
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

UNFINISHED = (InstallationState.FAILED, InstallationState.NEEDS_CONFIG)
REPEATED = (DirectiveState.FAILED, DirectiveState.CANCELED, DirectiveState.OUTCOME_UNKNOWN)
IN_USE = (InstallationState.INSTALLED, InstallationState.DISABLED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was recorded; the directive's end is the answer.

    missing: what it waits for (`setting:server_url`, `secret:bot_token`): nothing is requested until that has come.
    """

    installation_id: InstallationId
    requested: DirectiveId | None
    missing: tuple[str, ...] = ()

    @property
    def directive_id(self) -> DirectiveId:
        """Of what waits for nothing (`missing` is empty)."""
        assert self.requested is not None, "it waits for settings or secrets"
        return self.requested


def require_state(installation: Installation, *states: InstallationState) -> None:
    """Raises Conflict."""
    if installation.state not in states:
        listed = " or ".join(states)
        raise Conflict(
            f"{installation.package} is {installation.state}.", f"This works for one that is {listed}."
        )


def require_unchanged(installation: Installation, generation: int) -> None:
    """Raises Conflict if somebody changed it since it was looked at."""
    if installation.generation != generation:
        raise Conflict(
            f"{installation.package} was changed at this very moment.", "Look at it, then ask again."
        )


async def ask(
    house: House,
    session: TenantSession,
    installation: Installation,
    verb: str,
    key: str,
    actor: Actor,
    *,
    more: Mapping[str, Any] | None = None,
    approval_reason: str | None = None,
) -> Requested:
    """The directive; a new one for another round after one that did not succeed. more: arguments of this verb."""
    first = replace(_directive(installation, verb, key, actor, more or {}), approval_reason=approval_reason)
    asked, again = await request(session, house.registry, first), 0
    while not asked.fresh and asked.state in REPEATED:
        again += 1
        asked = await request(
            session, house.registry, replace(first, idempotency_key=f"{first.idempotency_key}:{again}")
        )
    return asked


def _directive(
    installation: Installation, verb: str, key: str, actor: Actor, more: Mapping[str, Any]
) -> NewDirective:
    arguments = {
        "installation_id": str(installation.id),
        "package": installation.package,
        "version": installation.version,
        "generation": installation.generation,
        **more,
    }
    return NewDirective(
        f"package.{verb}",
        f"package.{verb}:{key}",
        arguments,
        f"{verb.capitalize()} {installation.package}.",
        actor,
        installation_id=installation.id,
        lane=f"installation:{installation.id}",
    )
