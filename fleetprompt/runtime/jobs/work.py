"""One claimed job in the hands of its worker: every transaction it opens is fenced by the claim."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fleetprompt.database.driver import Prepared
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs import follow
from fleetprompt.runtime.jobs.ends import Ends
from fleetprompt.runtime.jobs.enqueue import MAX_ATTEMPTS, NewJob, enqueue
from fleetprompt.tenancy import Fence, Fenced, Tenancy, TenantSession

if TYPE_CHECKING:
    from fleetprompt.runtime.registry import JobKind

faults.declare({"job.goes_on"})
_LEAVE_TENANT = "set local role none"
# The row is held by this transaction's fence. Attempts before the successor's first do not count as its own.
_CHANGES = {
    "kind": "text",
    "args": "jsonb",
    "position": "bigint",
    "priority": "bigint",
    "unique_key": "text",
    "correlation_id": "uuid",
    "max_attempts": "bigint",
}
_FINISH = Prepared("job_finish", "uuid", "delete from public.job where id = $1")
_GO_ON = Prepared(
    "job_go_on",
    ", ".join(("uuid", *_CHANGES.values())),
    f"update public.job set {', '.join(f'{name} = ${n}' for n, name in enumerate(_CHANGES, 2))},"  # noqa: S608 - names
    " last_error = null where id = $1",
)
UNKNOWN_WAIT_S = 30.0
UNKNOWN_WAITS = 20


class Postpone(Exception):
    """Raised by a job to be run again later without counting as a failure (a rate limit, a busy far side)."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Begun:
    """The first transaction of a job is done, as a part of another. rest: what remains of it; None = nothing."""

    rest: Callable[[], Awaitable[None]] | None


class GiveUp(FleetPromptError):
    """Raised by a job that no further attempt can help: it dies at once, and whoever waits for it is told."""

    code = "given_up"


@dataclass(slots=True)
class Work:
    """A job that this worker has claimed. `finished` once its last transaction committed.

    lane: as the row has it. kinds: what this worker can run. rest: what remains of a job that was begun already.
    successor: what it goes on as, under the same claim.
    """

    tenancy: Tenancy
    tenant: TenantSlug
    kind: str
    args: dict[str, Any]
    fence: Fence
    max_attempts: int
    correlation_id: UUID | None = None
    lane: str | None = None
    kinds: Mapping[str, JobKind] = field(default_factory=dict)
    rest: Callable[[], Awaitable[None]] | None = None
    successor: Work | None = None
    ends: Ends | None = None
    finished: bool = field(default=False)
    concluding: bool = field(default=False)
    row: dict[str, Any] = field(default_factory=dict)

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
            follow.offer(session)
            yield session
            await follow.withdraw(session)
        self._conclude(session)

    async def conclude(self, session: TenantSession) -> None:
        """Make the transaction of a `step` the last one after all; nothing more may be done in it.

        What follows from it (`follow.follow_up`) goes on in its place, and may begin in this very transaction.
        """
        await session.flush()
        self.successor = await self._next(session)
        session.last.append(_LEAVE_TENANT)
        if self.successor is None:
            session.last.append(_FINISH(self.fence.job_id))
        else:
            session.last.append(_GO_ON(self.fence.job_id, *(self.successor.row[name] for name in _CHANGES)))
        self.concluding = True

    async def _next(self, session: TenantSession) -> Work | None:
        """What this job goes on as. A job that failed before takes one step at a time, so that blame finds its owner."""
        while (job := follow.taken(session)) is not None:
            kind, row = self.kinds.get(job.kind), job.row(self.tenant)
            if kind is None or row["lane"] != self.lane:
                await enqueue(session, job)
                continue
            successor = self._as(job, row)
            begun = await kind.begin(successor, session) if kind.begin and self._may_begin(job) else None
            await session.flush()
            if begun is None or begun.rest is not None:
                successor.rest = begun.rest if begun else None
                return successor
        return None

    def _may_begin(self, job: NewJob) -> bool:
        """Whoever a job runs for is looked at before it runs (`people.require_acting_user`), so not in here."""
        return self.tries == 1 and "user_id" not in job.args

    def _as(self, job: NewJob, row: Mapping[str, Any]) -> Work:
        limit = self.fence.attempt - 1 + job.max_attempts
        successor = Work(
            self.tenancy, self.tenant, job.kind, dict(job.args), self.fence, limit, job.correlation_id
        )
        successor.lane, successor.kinds = self.lane, self.kinds
        successor.row = {
            **row,
            "id": self.fence.job_id,
            "args": json.dumps(row["args"]),
            "max_attempts": limit,
        }
        return successor

    def _conclude(self, session: TenantSession) -> None:
        follow.committed(session)
        if self.concluding:
            self.finished = True
            self._reach_end()

    def _reach_end(self) -> None:
        if self.successor is None:
            faults.reach("job.finished")
        else:
            faults.reach("job.goes_on")

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[TenantSession]:
        """The last transaction: its commit is also the end of the job. Raises Fenced if the claim is void."""
        async with self.tenancy.session(self.tenant, fence=self.fence, finish=True) as session:
            yield session
        self.finished = True
        faults.reach("job.finished")

    async def end(self) -> None:
        """The end of a job that has nothing more to write. Raises Fenced if the claim is void."""
        ends = self.ends or Ends(self.tenancy.database)
        if not await ends.end(self.fence):
            raise Fenced(f"Job {self.fence.job_id} is no longer ours.")
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
