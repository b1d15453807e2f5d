"""The SQL of a job's life between `available` and its end. Only the database's clock decides leases.

Lanes: a job may be claimed only as the head of its lane (lowest position, then id, of the unfinished ones, a
postponed head included, so that order holds) and while no job of the lane runs; a unique index says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError

from fleetprompt.database.driver import Sql
from fleetprompt.database.engine import Database
from fleetprompt.kernel import processes
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs.enqueue import MAX_ATTEMPTS
from fleetprompt.tenancy import Fence


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is now ours until its lease runs out."""

    id: UUID
    tenant: TenantSlug
    kind: str
    args: dict[str, Any]
    attempt: int
    max_attempts: int
    correlation_id: UUID | None
    waited_s: float
    lane: str | None = None

    def fence(self, worker: str) -> Fence:
        """The claim as tenant transactions name it."""
        return Fence(self.id, self.attempt, worker)


RESTS = (
    "exists (select 1 from public.organizations o where o.slug = {} and o.state in ('suspended', 'deleting'))"
)
COLUMNS = (
    "job.id, job.tenant, job.kind, job.args, job.attempt, job.max_attempts, job.correlation_id,"
    " extract(epoch from clock_timestamp() - job.scheduled_at)::float8, job.lane"
)
# `waiting` hops through the index from tenant to tenant, and `due_jobs` (in the migrations) knows which of a tenant's
# jobs may run: none of one at rest, no more than its limit, of each lane the head alone. Those with the least running
# come first. One may take all of a claim, which is a part of a worker's slots: with the next it comes last.
# Numbers and lists stand in subqueries so that the plan does not depend on them, and is not made anew each time.
_CLAIM = Sql(f"""
with recursive waiting as (
    (select tenant from public.job where state = 'available' order by tenant limit 1)
    union all
    select (select j.tenant from public.job j where j.state = 'available' and j.tenant > w.tenant
        order by j.tenant limit 1)
    from waiting w where w.tenant is not null),
candidate as (
    select c.id from (
        select w.tenant from waiting w
        left join (select tenant, count(*) as running from public.job where state = 'running' group by tenant) r
            on r.tenant = w.tenant
        where w.tenant is not null and w.tenant <> all(cast((select cast(:sated as text[])) as text[]))
        order by coalesce(r.running, 0), random()) t
    cross join lateral public.due_jobs(t.tenant, :kinds, :limit) as c (id)
    limit (select cast(:limit as bigint)))
update public.job set state = 'running', attempt = attempt + 1, worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s)
from candidate where job.id = candidate.id returning {COLUMNS}
""")
_CLAIM_ONE = Sql(f"""
update public.job set state = 'running', attempt = attempt + 1, worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s)
where id = :id and attempt = :seen and state in ('available', 'dispatched')
    and (:at_rest_too or not {RESTS.format("job.tenant")})
returning {COLUMNS}
""")
# A job in the middle of its last transaction is locked: it is passed over, so that the others' leases do not wait.
_HEARTBEAT = Sql("""
with held as (select * from unnest(cast(:ids as uuid[]), cast(:attempts as bigint[])) as held (id, attempt)),
free as (
    select job.id from public.job join held on job.id = held.id and job.attempt = held.attempt
    where job.worker = :worker and job.state = 'running' for no key update of job skip locked),
beat as (
    update public.job set lease_until = now() + make_interval(secs => :lease_s)
    where id in (select id from free))
select job.id, job.attempt from public.job join held on job.id = held.id and job.attempt = held.attempt
where job.worker = :worker and job.state = 'running'
""")
_RELEASE = Sql("""
update public.job set state = 'available', worker = null, lease_until = null, max_attempts = max_attempts + 1
from unnest(cast(:ids as uuid[]), cast(:attempts as bigint[])) as held (id, attempt)
where job.id = held.id and job.attempt = held.attempt and job.worker = :worker and job.state = 'running'
""")
_RELEASE_ALL = Sql("""
update public.job set state = 'available', worker = null, lease_until = null, max_attempts = max_attempts + 1
where worker = :worker and state = 'running' returning 1
""")
_END = Sql("""
delete from public.job using unnest(cast(:ids as uuid[]), cast(:attempts as bigint[])) as held (id, attempt)
where job.id = held.id and job.attempt = held.attempt and job.worker = :worker and job.state = 'running'
returning job.id, job.attempt
""")
_POSTPONE = Sql("""
update public.job set state = 'available', worker = null, lease_until = null, last_error = :error,
    scheduled_at = now() + make_interval(secs => :delay_s), max_attempts = max_attempts + :forgiven
where id = :id and attempt = :attempt and worker = :worker and state = 'running'
""")
_DEATH_NOTICE = """
insert into public.job (id, tenant, kind, args, unique_key, correlation_id)
select gen_random_uuid(), tenant, 'job.died',
    jsonb_build_object('job_id', id, 'kind', kind, 'args', args, 'error', last_error),
    tenant || ':died:' || id || ':' || attempt, correlation_id
from dead where state = 'dead' and kind <> 'job.died' on conflict do nothing
"""
_DIE = Sql(f"""
with dead as (
    update public.job set state = 'dead', worker = null, lease_until = null, last_error = :error, finished_at = now()
    where id = :id and attempt = :attempt and worker = :worker and state = 'running' and kind = :kind
    returning *)
{_DEATH_NOTICE}
""")
# A killed process leaves no session behind, and need not be waited for until its lease ends. A neighbour on its machine
# sees at once that it is gone; for others it has to be silent, too. One that was merely cut off goes on beating. When everybody was cut off, leases alone count, until
# whoever judges has been back long enough for the others to have beaten.
# An orphan keeps its place before what came later. A worker that died twice on a job may have died of it: from then on
# the next try waits a little longer each time.
# Attempts that were forgiven do not count, and they may be thousands: two to the power of those is no number.
_REAP = Sql(f"""
with killed as materialized (
    select w.id from public.worker w
    where not exists (select 1 from pg_stat_activity a where a.pid = w.backend)
      and (w.id = any(cast(:gone as text[]))
        or w.seen_at < now() - make_interval(secs => :silent_s) and w.backend is not null
          and exists (select 1 from pg_stat_activity a
              where a.pid = :backend and a.backend_start < now() - make_interval(secs => :silent_s)))),
no_sleeper as (update public.worker set idle = false where idle and id in (select id from killed)),
orphan as (
    select id, least(attempt, {MAX_ATTEMPTS} - (max_attempts - attempt)) as tries from public.job
    where state = 'running' and (lease_until < now() or worker in (select id from killed)) for update skip locked),
dead as (
    update public.job set worker = null, lease_until = null, last_error = 'its worker stopped answering',
        state = case when attempt >= max_attempts then 'dead' else 'available' end,
        finished_at = case when attempt >= max_attempts then now() end,
        scheduled_at = case when tries <= 2 then scheduled_at
            else now() + make_interval(secs => 2 ^ least(tries - 3, 5)) end
    from orphan where job.id = orphan.id
    returning job.*),
notices as ({_DEATH_NOTICE} returning 1)
select count(*) from dead
""")
_NEIGHBOURS = Sql("select id, pid, born from public.worker where machine = :machine and born is not null")
# What a broker lost, or what was with one when it was given up.
_TAKE_BACK = Sql("""
with lost as (
    select id from public.job where state = 'dispatched' and lease_until < now() for update skip locked)
update public.job set state = 'available', lease_until = null from lost where job.id = lost.id
returning 1
""")


async def claim(
    database: Database,
    worker: str,
    kinds: Sequence[str],
    limit: int,
    lease_s: float,
    sated: Sequence[TenantSlug] = (),
) -> list[Claimed]:
    """Take up to `limit` jobs, none of the tenants that are `sated`, suspended, or being removed.

    Two workers that race for one lane: the loser gets nothing this time.
    """
    values = {"worker": worker, "kinds": list(kinds), "limit": limit, "lease_s": lease_s}
    values["sated"] = list(sated)
    try:
        async with database.lend() as driver:
            rows = await driver.fetch(_CLAIM, values)
    except DBAPIError as error:
        require_lost_race(error)
        return []
    return [_claimed(row) for row in rows]


async def claim_one(
    database: Database, worker: str, job_id: UUID, seen: int, lease_s: float, *, at_rest_too: bool = False
) -> Claimed | None:
    """The fence of a message that a broker carried; None for a duplicate, a lane that is busy, a tenant at rest.

    at_rest_too: an operator asked for this very job, and may do so for a suspended tenant.
    """
    values = {"worker": worker, "id": job_id, "seen": seen, "lease_s": lease_s, "at_rest_too": at_rest_too}
    try:
        async with database.lend() as driver:
            rows = await driver.fetch(_CLAIM_ONE, values)
    except DBAPIError as error:
        require_lost_race(error)
        return None
    return _claimed(rows[0]) if rows else None


async def heartbeat(database: Database, worker: str, held: Sequence[Fence], lease_s: float) -> set[Fence]:
    """Prolong the leases; returns the claims that still hold."""
    async with database.lend() as driver:
        rows = await driver.fetch(_HEARTBEAT, {**_held(worker, held), "lease_s": lease_s})
    return {Fence(job_id, attempt, worker) for job_id, attempt in rows}


async def release(database: Database, worker: str, held: Sequence[Fence]) -> None:
    """Hand running work back unharmed: the attempt does not count."""
    async with database.lend() as driver:
        await driver.fetch(_RELEASE, _held(worker, held))


async def release_all(database: Database, worker: str) -> int:
    """The same of a worker that ends, a claim that was under way meanwhile included; how many."""
    async with database.lend() as driver:
        return len(await driver.fetch(_RELEASE_ALL, {"worker": worker}))


async def end(database: Database, held: Sequence[Fence]) -> set[Fence]:
    """They are done, with nothing more to write; returns the claims that held until then. All of one worker."""
    worker = held[0].worker
    async with database.lend() as driver:
        rows = await driver.fetch(_END, _held(worker, held))
    return {Fence(job_id, attempt, worker) for job_id, attempt in rows}


async def postpone(database: Database, fence: Fence, delay_s: float, error: str, *, forgive: bool) -> None:
    """Run it again later; forgive: this attempt does not count towards its last."""
    async with database.lend() as driver:
        values = {"delay_s": delay_s, "error": error[:500], "forgiven": int(forgive)}
        await driver.fetch(_POSTPONE, {**_one(fence), **values})


async def die(database: Database, fence: Fence, kind: str, error: str) -> None:
    """Make it a dead letter, and tell whoever waits for it by a job `job.died` in the same transaction.

    Not what it went on as (of another kind) in a commit whose answer was lost: that is left to its lease.
    """
    async with database.lend() as driver:
        await driver.fetch(_DIE, {**_one(fence), "kind": kind, "error": error[:500]})


async def reap(database: Database, silent_s: float = 3600.0, backend: int | None = None) -> int:
    """Free the jobs whose worker stopped answering; returns how many.

    silent_s: after that a worker without a session counts as killed; longer than it takes from one beat to the next.
    backend: the caller's own session; None = leases alone count.
    """
    async with database.lend() as driver:
        neighbours = await driver.fetch(_NEIGHBOURS, {"machine": processes.machine()})
        gone = [worker for worker, pid, born in neighbours if processes.is_gone(pid, born)]
        values = {"silent_s": silent_s, "backend": backend, "gone": gone}
        return int((await driver.fetch(_REAP, values))[0][0])


async def take_back(database: Database) -> int:
    """Make those jobs available again whose message did not arrive in time; returns how many."""
    async with database.lend() as driver:
        return len(await driver.fetch(_TAKE_BACK, {}))


def require_lost_race(error: DBAPIError) -> None:
    """Re-raise anything but another worker's having been quicker in a lane, or in two lanes crosswise."""
    cause = error.orig.__cause__ if error.orig is not None else None
    if not isinstance(cause, asyncpg.UniqueViolationError | asyncpg.DeadlockDetectedError):
        raise error


def _claimed(row: asyncpg.Record) -> Claimed:
    return Claimed(row[0], TenantSlug(row[1]), *row[2:])


def _held(worker: str, held: Sequence[Fence]) -> dict[str, Any]:
    return {
        "worker": worker,
        "ids": [fence.job_id for fence in held],
        "attempts": [fence.attempt for fence in held],
    }


def _one(fence: Fence) -> dict[str, Any]:
    return {"id": fence.job_id, "attempt": fence.attempt, "worker": fence.worker}
