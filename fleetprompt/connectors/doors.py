"""What comes in over HTTP for one installation: who may send it, and how it becomes a fact that somebody works on.

A door stores and answers; the work is a job's. What the job finds out is shown by the door if it is there in time, and
said to the person alone otherwise; which of the two it is, one fact decides (`told`), so that nothing is said twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from fleetprompt.database.engine import is_away
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import FleetPromptError, NotFound, Unavailable
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Connection, Installation, Signal
from fleetprompt.model.states import IN_FORCE
from fleetprompt.packages.house import House
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import Tenancy, TenantSession
from fleetprompt.tenancy.rows import get

ANSWERED: Final = "chat.request.answered"
TOLD: Final = "chat.request.told"
SHOWN_WITHIN_S: Final = 0.7  # of the second that a door may take
LOOK_EVERY_S: Final = 0.04
STORED_WITHIN_S: Final = 5.0

faults.declare({"door.before_commit", "door.committed", "door.told"})


class NotOurs(FleetPromptError):
    """One answer for an installation that is not there, is not enabled, or whose proof is another: whoever asks learns
    nothing of which."""

    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("This is not for us.", "Check the address and the token.")


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that is stored. fresh: False for one that was told before. notice: to be said at once, before all else."""

    tenant: TenantSlug
    signal_id: UUID
    fresh: bool
    notice: str = ""


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Raises Unavailable when Postgres is away, or answers too slowly for whoever waits at the door."""
    try:
        async with asyncio.timeout(STORED_WITHIN_S):
            yield
    except Exception as error:
        if isinstance(error, TimeoutError) or is_away(error):
            raise Unavailable("Nothing can be stored at the moment.", "Try again in a moment.") from error
        raise


async def tenant_of(house: House, connector: str, installation_id: UUID) -> TenantSlug:
    """Whose installation it is. Raises NotOurs."""
    async with house.tenancy.database.session() as session:
        query = select(Connection.tenant).where(
            Connection.installation_id == installation_id,
            Connection.connector == connector,
            Connection.enabled,
        )
        tenant = await session.scalar(query)
    if tenant is None:
        raise NotOurs
    slug = TenantSlug(tenant)
    try:
        await house.vault.key_of(slug)
    except NotFound as error:
        raise NotOurs from error
    return slug


async def enabled(session: TenantSession, installation_id: UUID) -> Installation:
    """The installation, if it listens. Raises NotOurs."""
    installation = await get(session, Installation, installation_id)
    if installation is None or installation.state not in IN_FORCE:
        raise NotOurs
    return installation


async def take(
    session: TenantSession,
    registry: Registry,
    name: str,
    installation: Installation,
    person: Actor,
    payload: Mapping[str, Any],
    once: str,
    *,
    conversation_id: UUID | None = None,
) -> Taken:
    """Store a request in the caller's transaction. once: the same for the same request, however often it is sent."""
    digest = hashlib.sha256(once.encode()).hexdigest()
    own = {"installation_id": str(installation.id), "package": installation.package}
    new = NewSignal(
        name,
        {**own, **payload},
        person,
        dedupe_key=f"{installation.id}:{name}:{digest}",
        installation_id=installation.id,
        conversation_id=conversation_id,
        lane=f"requests:{installation.id}:{person.id}",
        position=clock.now_ms(),
    )
    emitted = await emit(session, registry, new)
    faults.reach("door.before_commit")
    return Taken(session.tenant, emitted.id, emitted.fresh)


async def claim_telling(session: TenantSession, registry: Registry, signal_id: UUID, how: str) -> bool:
    """Whether it is the caller's to tell the person; to one alone, once."""
    new = NewSignal(
        TOLD,
        {"signal_id": str(signal_id), "how": how},
        Actor("system", "fleetprompt", "FleetPrompt"),
        dedupe_key=f"{TOLD}:{signal_id}",
        causation_id=signal_id,
        correlation_id=signal_id,
    )
    return (await emit(session, registry, new)).fresh


async def shown(tenancy: Tenancy, registry: Registry, taken: Taken) -> str | None:
    """The answer, if it is found in time and nobody told it yet; from then on it counts as told."""
    deadline_s = clock.monotonic_s() + SHOWN_WITHIN_S
    try:
        while clock.monotonic_s() < deadline_s:
            async with tenancy.session(taken.tenant) as session:
                answer = await answer_to(session, taken.signal_id)
                is_ours = answer is not None and await claim_telling(
                    session, registry, taken.signal_id, "shown"
                )
            if answer is not None:
                faults.reach("door.told")
                return answer if is_ours else None
            await asyncio.sleep(LOOK_EVERY_S)
    except Exception as error:
        if not is_away(error):
            raise
    return None  # the job's answer comes by itself


async def answer_to(session: TenantSession, signal_id: UUID) -> str | None:
    """What the work on a request came to; None as long as it goes on."""
    query = select(Signal.payload).where(Signal.dedupe_key == f"{ANSWERED}:{signal_id}")
    payload = await session.scalar(query)
    return None if payload is None else str(payload["text"])
