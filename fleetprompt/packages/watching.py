"""What an installation's manifest says to look at: whether it has been away for too long, and whether it is of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, or_, select

from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Agent, Installation, InstallationHealth, Signal
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.published import find_version
from fleetprompt.tenancy import TenantSession

VALUE_DAYS: Final = 30
CONNECTED: Final = "connected"


@dataclass(frozen=True, slots=True)
class Worth:
    """One of a package's value events, and how often it happened in the last VALUE_DAYS days (no longer than kept)."""

    signal: str
    title: str
    count: int


async def manifest_of(house: House, installation: Installation) -> Manifest | None:
    """Of the version that is installed, withdrawn or not; None if the registry has it no more, or it was changed."""
    try:
        found = await find_version(house.tenancy.database, installation.package, installation.version)
        return found.verified()
    except FleetPromptError:
        return None


async def worth(session: TenantSession, installation: Installation, manifest: Manifest) -> Sequence[Worth]:
    """Of what happened on its own wire, and to the agents that it provides."""
    agents = select(Agent.id).where(Agent.installation_id == installation.id)
    ids = [str(id_) for id_ in await session.scalars(agents)]
    ours = or_(Signal.installation_id == installation.id, Signal.payload["agent_id"].astext.in_(ids))
    since = clock.now() - timedelta(days=VALUE_DAYS)
    names = [event.signal for event in manifest.value]
    query = select(Signal.name, func.count()).where(Signal.name.in_(names), Signal.created_at > since, ours)
    rows = await session.execute(query.group_by(Signal.name))
    counts = {row[0]: int(row[1]) for row in rows}
    return [Worth(event.signal, event.title, counts.get(event.signal, 0)) for event in manifest.value]


def is_stale(
    installation: Installation, health: InstallationHealth | None, manifest: Manifest, *, is_held: bool
) -> bool:
    """Whether it has had no connection for longer than its manifest allows (`health.stale_after_s`)."""
    limit_s = manifest.health.stale_after_s
    if health is None or limit_s is None or installation.state != InstallationState.INSTALLED:
        return False
    away_since = health.updated_at if health.state == CONNECTED else health.since
    is_away = health.state != CONNECTED or not is_held
    return is_away and clock.now() - away_since > timedelta(seconds=limit_s)
