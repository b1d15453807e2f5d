"""Run one claimed job to one of its ends: finished, postponed, failed with backoff, dead, or no longer ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import structlog
from structlog.contextvars import bound_contextvars

from fleetprompt.database.engine import is_away
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.runtime.jobs.ends import Ends
from fleetprompt.runtime.jobs.work import GiveUp, Postpone, Work
from fleetprompt.runtime.people import require_acting_user
from fleetprompt.runtime.registry import JobKind
from fleetprompt.telemetry import metrics, span
from fleetprompt.tenancy import Fenced, Tenancy

log = structlog.get_logger("fleetprompt.jobs")

BACKOFF_CAP_S = 300.0


async def run_job(
    tenancy: Tenancy, kinds: Mapping[str, JobKind], worker: str, job: Claimed, ends: Ends | None = None
) -> str:
    """Run it, and what it goes on as; returns the last outcome's name. Never raises but for cancellation."""
    work: Work | None = Work(
        tenancy, job.tenant, job.kind, job.args, job.fence(worker), job.max_attempts, job.correlation_id
    )
    outcome, waited_s = "", job.waited_s
    while work is not None:
        work.lane, work.kinds, work.ends = job.lane, kinds, ends
        outcome = await _run_one(work, waited_s)
        # Named before its commit, so true only with it: without, it would end the row that is still this job's.
        work, waited_s = work.successor if work.finished else None, 0.0
    return outcome


async def _run_one(work: Work, waited_s: float) -> str:
    began_s = clock.monotonic_s()
    with (
        bound_contextvars(**_context(work)),
        span(f"job {work.kind}", org=work.tenant, job=work.fence.job_id),
    ):
        faults.reach("job.claimed")
        try:
            outcome = await _run(work)
        except Exception as error:  # noqa: BLE001 - the worker's edge: recorded on the job, or left to the reaper
            outcome = await _record(work, error)
    metrics.JOBS.labels(work.kind, outcome).inc()
    metrics.JOB_WAIT_SECONDS.labels(work.kind).observe(max(0.0, waited_s))
    metrics.JOB_RUN_SECONDS.labels(work.kind).observe(clock.monotonic_s() - began_s)
    return outcome


def _context(work: Work) -> dict[str, str]:
    ids = {"job": work.fence.job_id, "correlation_id": work.correlation_id}
    return {
        "org": work.tenant,
        "kind": work.kind,
        **{key: str(value) for key, value in ids.items() if value is not None},
    }


async def _run(work: Work) -> str:
    try:
        if work.rest is not None:
            await work.rest()
        else:
            await require_acting_user(work)
            await work.kinds[work.kind].run(work)
        if not work.finished:
            await work.end()
    except Fenced:
        log.warning("job.fenced")
        return "fenced"
    except Postpone as later:
        await claim.postpone(work.tenancy.database, work.fence, later.delay_s, later.reason, forgive=True)
        return "postponed"
    return "finished"


async def _record(work: Work, error: Exception) -> str:
    """A fault of the job itself: try again later, or bury it. With Postgres away the lease runs out instead."""
    log.error("job.failed", attempt=work.fence.attempt, exc_info=error)
    try:
        return await _write_down(work, describe(error), hopeless=isinstance(error, GiveUp))
    except Exception as second:  # noqa: BLE001 - the same edge
        log.error("job.not_recorded", error=type(second).__name__)
        return "database_away" if is_away(second) else "not_recorded"


async def _write_down(work: Work, error: str, *, hopeless: bool) -> str:
    if hopeless or work.last_attempt:
        await claim.die(work.tenancy.database, work.fence, work.kind, error)
        return "dead"
    await claim.postpone(work.tenancy.database, work.fence, backoff_s(work.tries), error, forgive=False)
    return "failed"


def backoff_s(attempt: int) -> float:
    """Exponential with full jitter in its upper half: 1 s, 2 s, 4 s ... at most five minutes."""
    return min(BACKOFF_CAP_S, 2.0 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0)


def describe(error: BaseException) -> str:
    """What may be stored of an error: our own words, or the class alone, since a text may quote a message."""
    if isinstance(error, FleetPromptError):
        return str(error)
    if isinstance(error, asyncio.TimeoutError):
        return "timed out"
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    return type(cause or error).__name__
