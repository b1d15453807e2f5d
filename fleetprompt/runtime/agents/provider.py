"""The installation that provides an agent: what it was granted, and whether it is in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetprompt.database.driver import Sql
from fleetprompt.model import Agent
from fleetprompt.model.states import InstallationState
from fleetprompt.tenancy import TenantSession

_GRANTED = Sql(
    "select i.package, i.state, i.blocked, array(select scope from grants g where g.installation_id = i.id) as scopes"
    " from installations i where i.id = :installation_id"
)
IN_FORCE: Final = (InstallationState.INSTALLED, InstallationState.UPGRADING)


@dataclass(frozen=True, slots=True)
class Provider:
    """problem: why nothing that it provides counts now; None if it does."""

    package: str
    scopes: frozenset[str]
    problem: str | None = None


async def provider_of(session: TenantSession, agent: Agent) -> Provider | None:
    """None for an agent that a person made."""
    if agent.installation_id is None:
        return None
    found = await session.fetch(_GRANTED, {"installation_id": agent.installation_id})
    if not found:
        return Provider("its package", frozenset(), "its package is not installed any more")
    package, state, blocked, scopes = tuple(found[0])
    return Provider(package, frozenset(scopes), _problem(package, state, blocked))


def _problem(package: str, state: str, blocked: str | None) -> str | None:
    if blocked is not None:
        return f"{package} is blocked: {blocked}"
    return None if state in IN_FORCE else f"{package} is {state}"
