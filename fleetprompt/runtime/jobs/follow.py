"""What follows from a job stays in the same hands: the job's own row goes on as its successor, under the same claim.

So between a message's handler, its run and its directive nothing is released, looked for and claimed again. Offered
in a `Work.step` alone; anywhere else, and when the lane is another, the successor is an ordinary new job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleetprompt.runtime.jobs.enqueue import NewJob, enqueue
from fleetprompt.tenancy import TenantSession

_NEXT: Final = "next_job"
_AFTER: Final = "after_commit"
_KEPT: Final = "kept"


async def follow_up(session: TenantSession, job: NewJob) -> None:
    """Add the one job that certainly nobody has asked for yet and that goes on with what this transaction does."""
    if session.info.get(_NEXT, job) is None and not job.delay_s and job.scheduled_at is None:
        session.info[_NEXT] = job
    else:
        await enqueue(session, job)


def keep(session: TenantSession, *rows: object) -> None:
    """Let the successor find in the session what is known already: of itself it forgets what nobody holds."""
    session.info.setdefault(_KEPT, []).extend(rows)


def offer(session: TenantSession) -> None:
    """This transaction belongs to a job that can go on as another."""
    session.info[_NEXT] = None


def taken(session: TenantSession) -> NewJob | None:
    """What was to follow; it is the caller's now, and another may take its place."""
    job: NewJob | None = session.info.get(_NEXT)
    if job is not None:
        session.info[_NEXT] = None
    return job


async def withdraw(session: TenantSession) -> None:
    """The job does not end with this transaction: what was to follow becomes a job of its own."""
    job = taken(session)
    if job is not None:
        await enqueue(session, job)


def after_commit(session: TenantSession, act: Callable[[], None]) -> None:
    """Have something counted or told once it is true."""
    session.info.setdefault(_AFTER, []).append(act)


def committed(session: TenantSession) -> None:
    """It is true."""
    for act in session.info.get(_AFTER, ()):
        act()
