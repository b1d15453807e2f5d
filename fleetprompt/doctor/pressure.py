"""Whether messages are answered about as fast as they come."""

from __future__ import annotations

from typing import Final

from fleetprompt.composition import House
from fleetprompt.doctor.finding import Finding, counted, ok, warn
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs.pressure import unanswered

LATE_S: Final = 60.0
REMEDY: Final = "Start another worker, or raise FLEETPROMPT_WORKER_SLOTS; nothing is lost meanwhile."


async def check_messages(house: House, org: TenantSlug) -> list[Finding]:
    """The oldest unanswered one is young."""
    waiting = next((one for one in await unanswered(house.database) if one.tenant == org), None)
    if waiting is None:
        return [ok("messages", "none waits for an answer", org)]
    said = f"{counted(waiting.count, 'message')} unanswered, the oldest for {waiting.oldest_s:.0f} s"
    if waiting.oldest_s < LATE_S:
        return [ok("messages", said, org)]
    return [warn("messages", said, REMEDY, org)]
