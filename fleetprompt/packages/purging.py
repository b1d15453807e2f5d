"""What an uninstalled package heard and said is kept for as long as its manifest promised, then goes.

Conversations with all that hangs on them, then settings and account: the row of the installation stays as its record.
Signals and directives keep their own dates.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update

from fleetprompt.kernel import faults
from fleetprompt.model import Conversation, Installation
from fleetprompt.packages.house import House
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import JobKind, Recurring
from fleetprompt.runtime.signals.emit import SYSTEM

NAME: Final = "package.purge"
DAILY: Final = Recurring(NAME, NAME, "17 4 * * *")
BATCH: Final = 1000

_MESSAGES = text(
    "delete from messages where id in (select id from messages where conversation_id in"
    " (select id from conversations where installation_id = :id) limit :batch)"
)

faults.declare(["package.purging"])


def purge_kind(house: House) -> JobKind:
    """In batches; a death leaves the rest for the next time."""

    async def purge(work: Work) -> None:
        due = select(Installation.id).where(
            Installation.purge_at < func.now(), Installation.purged_at.is_(None)
        )
        async with work.step() as session:
            found = list(await session.scalars(due.order_by(Installation.id)))
        for installation_id in found:
            while await _remove_messages(work, installation_id) == BATCH:
                pass
            faults.reach("package.purging")
            await _remove_rest(house, work, installation_id)

    return JobKind(NAME, purge)


async def _remove_messages(work: Work, installation_id: UUID) -> int:
    async with work.step() as session:
        result = await session.execute(_MESSAGES, {"id": installation_id, "batch": BATCH})
        return int(result.rowcount)  # type: ignore[attr-defined]


async def _remove_rest(house: House, work: Work, installation_id: UUID) -> None:
    async with work.step() as session:
        await session.execute(delete(Conversation).where(Conversation.installation_id == installation_id))
        this = update(Installation).where(Installation.id == installation_id)
        await session.execute(this.values(config={}, account={}, purged_at=func.now()))
        installation = await session.get(Installation, installation_id)
        assert installation is not None
        await tell(session, house.registry, installation, "package.purged", SYSTEM)
