"""Run one directive to its end from a process that is no worker, such as the command line.

It claims the directive's job as a worker would, with the same lease and fence; if a worker was faster, it only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from fleetprompt.database.engine import is_away
from fleetprompt.kernel.errors import Unavailable
from fleetprompt.kernel.ids import DirectiveId, TenantSlug, new_id
from fleetprompt.model import Directive, Job
from fleetprompt.model.states import DirectiveState, JobState
from fleetprompt.packages.house import House
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.claim import Claimed
from fleetprompt.runtime.jobs.run import run_job

LOOK_EVERY_S = 0.1
OVER = (
    DirectiveState.SUCCEEDED,
    DirectiveState.FAILED,
    DirectiveState.CANCELED,
    DirectiveState.OUTCOME_UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the directive ended. receipt: of its first effect."""

    state: str
    error_code: str | None
    error: str | None
    receipt: dict[str, Any]

    @property
    def succeeded(self) -> bool:
        """Whether it is done."""
        return self.state == DirectiveState.SUCCEEDED


async def run_now(
    house: House, tenant: TenantSlug, directive_id: DirectiveId, timeout_s: float = 60.0
) -> Ended:
    """Run it here, or wait for the worker that does. Raises Unavailable when it takes longer; it goes on then."""
    worker = f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
    try:
        async with asyncio.timeout(timeout_s):
            while (ended := await _ended(house, tenant, directive_id)) is None:
                await _run_if_due(house, tenant, directive_id, worker)
                await asyncio.sleep(LOOK_EVERY_S)
            return ended
    except TimeoutError as error:
        raise Unavailable(
            f"It has not ended after {timeout_s:.0f} s, and goes on.",
            f"See: fleetprompt directives show {directive_id} --org {tenant}",
        ) from error


async def _ended(house: House, tenant: TenantSlug, directive_id: DirectiveId) -> Ended | None:
    async with house.tenancy.session(tenant) as session:
        query = select(Directive).where(Directive.id == directive_id)
        directive = (await session.scalars(query)).one()
    if directive.state not in OVER:
        return None
    receipts = (directive.result or {}).get("receipts") or [{}]
    return Ended(directive.state, directive.error_code, directive.error, receipts[0])


async def _run_if_due(house: House, tenant: TenantSlug, directive_id: DirectiveId, worker: str) -> None:
    database, lease_s = house.tenancy.database, house.settings.lease_s
    due = select(Job.id, Job.attempt).where(
        Job.unique_key == f"{tenant}:directive:{directive_id}",
        Job.state.in_((JobState.AVAILABLE, JobState.DISPATCHED)),
        Job.scheduled_at <= func.now(),
    )
    async with database.session() as session:
        row = (await session.execute(due)).one_or_none()
    if row is None:
        return
    job = await claim.claim_one(database, worker, row[0], row[1], lease_s, at_rest_too=True)
    if job is not None:
        async with _kept(house, worker, job):
            await run_job(house.tenancy, house.registry.jobs, worker, job)


@contextlib.asynccontextmanager
async def _kept(house: House, worker: str, job: Claimed) -> AsyncIterator[None]:
    """Prolong the lease while it runs; hand the job back if we are stopped."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(house.settings.heartbeat_s)
            try:
                await claim.heartbeat(database, worker, [job.fence(worker)], house.settings.lease_s)
            except Exception as error:
                if not is_away(error):
                    raise

    database = house.tenancy.database
    beating = asyncio.create_task(beat(), name="heartbeat")
    try:
        yield
    except asyncio.CancelledError:
        await claim.release(database, worker, [job.fence(worker)])
        raise
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
