"""What an operator does with jobs: list, show, retry the dead, discard them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Job
from fleetprompt.model.states import JobState


async def list_jobs(
    database: Database, tenant: TenantSlug, *, state: str | None = None, limit: int = 100
) -> Sequence[Job]:
    """One tenant's unfinished and dead jobs, oldest first."""
    query = select(Job).where(Job.tenant == tenant).order_by(Job.id).limit(limit)
    async with database.session() as session:
        return list(await session.scalars(query if state is None else query.where(Job.state == state)))


async def find_job(database: Database, tenant: TenantSlug, job_id: UUID) -> Job:
    """Raises NotFound: a finished job is deleted, its outcome stands on what it worked for."""
    async with database.session() as session:
        job = await session.scalar(select(Job).where(Job.id == job_id, Job.tenant == tenant))
    if job is None:
        raise NotFound(
            f"There is no job {job_id} in {tenant!r}.",
            "Finished jobs are removed; `fleetprompt trace` tells what came of them.",
        )
    return job


async def retry_job(database: Database, tenant: TenantSlug, job_id: UUID) -> None:
    """Give a dead letter another round of attempts. Raises Conflict if it is not dead, or has a successor."""
    await find_job(database, tenant, job_id)
    revive = (
        update(Job)
        .where(Job.id == job_id, Job.tenant == tenant, Job.state == JobState.DEAD)
        .values(
            state=JobState.AVAILABLE,
            max_attempts=Job.attempt + 8,
            scheduled_at=text("now()"),
            finished_at=None,
        )
        .returning(Job.id)
    )
    try:
        async with database.session() as session:
            revived = (await session.execute(revive)).scalar_one_or_none()
    except IntegrityError as error:
        raise Conflict(
            f"What job {job_id} was for was asked for again, and another job does it.", "Discard this one."
        ) from error
    if revived is None:
        raise Conflict(f"Job {job_id} is not dead.", "Only dead letters are retried.")


async def discard_job(database: Database, tenant: TenantSlug, job_id: UUID) -> None:
    """Remove a dead letter for good. Raises Conflict if it is not dead."""
    await find_job(database, tenant, job_id)
    remove = delete(Job).where(Job.id == job_id, Job.tenant == tenant, Job.state == JobState.DEAD)
    async with database.session() as session:
        removed = (await session.execute(remove.returning(Job.id))).scalar_one_or_none()
    if removed is None:
        raise Conflict(f"Job {job_id} is not dead.", "Only dead letters are discarded.")
