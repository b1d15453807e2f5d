"""One claimed job in the hands of its worker: every transaction it opens is fenced by the claim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs.enqueue import MAX_ATTEMPTS
from fleetprompt.tenancy import Fence, Tenancy, TenantSession

_LEAVE_TENANT = text("select set_config('role', 'none', true)")
UNKNOWN_WAIT_S = 30.0
UNKNOWN_WAITS = 20
_FINISH = text("delete from public.job where id = :id")  # its row is held by this transaction's fence


class Postpone(Exception):
    """Raised by a job to be run again later without counting as a failure (a rate limit, a busy far side)."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.reason = reason


class GiveUp(FleetPromptError):
    """Raised by a job that no further attempt can help: it dies at once, and whoever waits for it is told."""

    code = "given_up"


@dataclass(slots=True)
class Work:
    """A job that this worker has claimed. `finished` once a `finish()` transaction committed."""

    tenancy: Tenancy
    tenant: TenantSlug
    kind: str
    args: dict[str, Any]
    fence: Fence
    max_attempts: int
    correlation_id: UUID | None = None
    finished: bool = field(default=False)
    concluding: bool = field(default=False)

    @property
    def last_attempt(self) -> bool:
        """Whether a failure now is the last one."""
        return self.fence.attempt >= self.max_attempts

    @property
    def tries(self) -> int:
        """Attempts that count, this one included: those that were forgiven raised `max_attempts` too."""
        left = self.max_attempts - self.fence.attempt
        return max(1, min(self.fence.attempt, MAX_ATTEMPTS - left))

    @asynccontextmanager
    async def step(self) -> AsyncIterator[TenantSession]:
        """A transaction that goes on with the job. Raises Fenced if the claim is void."""
        async with self.tenancy.session(self.tenant, fence=self.fence) as session:
            yield session
        self._conclude()

    async def conclude(self, session: TenantSession) -> None:
        """Make the transaction of a `step` the last one after all; nothing more may be done in it."""
        await session.flush()
        await session.execute(_LEAVE_TENANT)
        await session.execute(_FINISH, {"id": self.fence.job_id})
        self.concluding = True

    def _conclude(self) -> None:
        if self.concluding:
            self.finished = True
            faults.reach("job.finished")

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[TenantSession]:
        """The last transaction: its commit is also the end of the job. Raises Fenced if the claim is void."""
        async with self.tenancy.session(self.tenant, fence=self.fence, finish=True) as session:
            yield session
        self.finished = True
        faults.reach("job.finished")


def unknown_here(work: Work, what: str) -> Postpone | GiveUp:
    """To be raised for a name that this program does not have: a rolling deploy brings a worker that does.

    Ten minutes are enough for that; a job that waited for ever would hold its lane up for ever.
    """
    reason = f"There is no {what} here."
    if work.fence.attempt > UNKNOWN_WAITS:
        return GiveUp(reason, "Start the version of FleetPrompt that has it, then retry.")
    return Postpone(UNKNOWN_WAIT_S, reason)
