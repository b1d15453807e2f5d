"""The SQL of jobs that a broker carries: handing them out, claiming them on arrival, taking back what got lost.

A dispatched job keeps its attempt, so its message (job id, attempt) is good until somebody claims the job, whoever
brings it and however often. Only the claim on arrival decides; it looks at the lane once more, since a job that
belongs before this one may have come meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs.claim import COLUMNS, RESTS, Claimed, require_lost_race

STRANGE_S = 1.0
"""How long a job rests that came to a worker which does not know its kind: another one may get it then."""

# ruff: noqa: S608 - constants of this very file
_LANE_IS_FREE = """(j.lane is null or (
            not exists (select 1 from public.job r where r.lane = j.lane and r.state = 'running')
            and not exists (
                select 1 from public.job e
                where e.lane = j.lane and e.state in ('available', 'dispatched')
                  and (e.position, e.id) < (j.position, j.id))))"""
# As in `claim`, by `due_jobs`: tenants with the least under way come first. Together they get no more than all workers
# can hold, and one tenant three quarters of that; so a message waits at the broker no longer than for a worker to look.
_DISPATCH = text("""
with recursive waiting as (
    (select tenant from public.job where state = 'available' order by tenant limit 1)
    union all
    select (select j.tenant from public.job j where j.state = 'available' and j.tenant > w.tenant
        order by j.tenant limit 1)
    from waiting w where w.tenant is not null),
alive as materialized (
    select slots, kinds from public.worker where seen_at > now() - make_interval(secs => :lease_s)),
capacity as materialized (select coalesce(sum(slots), 0) as slots from alive),
known as materialized (select coalesce(array_agg(distinct kind), '{}') as kinds from alive, unnest(kinds) kind),
load as materialized (
    select tenant, sum(jobs) as jobs from (
        select tenant, count(*) as jobs from public.job where state = 'running' group by tenant
        union all
        select tenant, count(*) from public.job where state = 'dispatched' group by tenant) under_way
    group by tenant),
room as materialized (
    select greatest(0, least(:limit, slots - (select coalesce(sum(jobs), 0) from load)))::bigint as jobs,
        greatest(1, slots * 3 / 4) as share
    from capacity),
candidate as (
    select c.id from (
        select w.tenant from waiting w left join load on load.tenant = w.tenant
        where w.tenant is not null and coalesce(load.jobs, 0) < (select share from room)
        order by coalesce(load.jobs, 0), random()) t
    cross join lateral
        public.due_jobs(t.tenant, (select kinds from known)::text[], (select jobs from room)) as c (id)
    limit (select jobs from room)),
sent as (
    update public.job set state = 'dispatched', lease_until = now() + make_interval(secs => :within_s)
    from candidate where job.id = candidate.id returning job.id, job.attempt)
select room.jobs = 0, sent.id, sent.attempt from room left join sent on true
""")
_CARRIED = (
    "carried as (select * from unnest(cast(:ids as uuid[]), cast(:attempts as bigint[])) as c (id, attempt))"
)
_ACCEPT = text(f"""
with {_CARRIED},
good as (
    select j.id from public.job j join carried c on c.id = j.id and c.attempt = j.attempt
    where j.state in ('available', 'dispatched') and j.scheduled_at <= now() and j.kind = any(:kinds)
      and {_LANE_IS_FREE} and not {RESTS.format("j.tenant")}
    for update of j skip locked)
update public.job set state = 'running', attempt = attempt + 1, worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s)
from good where job.id = good.id returning {COLUMNS}
""")
_HAND_BACK = text(f"""
with {_CARRIED},
back as (
    select j.id, coalesce(j.kind = any(cast(:kinds as text[])), true) as known from public.job j
    join carried c on c.id = j.id and c.attempt = j.attempt where j.state = 'dispatched' for update of j skip locked)
update public.job set state = case when known then 'available' else state end,
    lease_until = case when known then null else now() + make_interval(secs => :strange_s) end
from back where job.id = back.id
""")

Carried = Mapping[UUID, int]
"""Job -> the attempt that its message names."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What was handed out. is_full: all workers have what they can hold, so nothing can be until a job ends."""

    is_full: bool
    jobs: Carried


async def dispatch(database: Database, limit: int, lease_s: float) -> Dispatched:
    """Mark up to `limit` jobs as handed out, of kinds that a living worker knows: heads of their lanes alone.

    A worker counts as long as it would hold a lease: whatever is handed out for one that was killed waits at the broker,
    in front of the jobs that it orphaned. And what nobody has taken within a third of a lease is handed out again: with
    NATS a killed worker takes along what was on its way to it, and the job may have lost a worker before.
    """
    values = {"limit": limit, "lease_s": lease_s, "within_s": lease_s / 3}
    async with database.at_once() as connection:
        rows = (await connection.execute(_DISPATCH, values)).all()
    return Dispatched(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


async def accept(
    database: Database, worker: str, kinds: Sequence[str], carried: Carried, lease_s: float
) -> list[Claimed]:
    """The fence of messages that a broker carried: claims those jobs whose turn it is, leaves out duplicates."""
    try:
        return await _accept(database, worker, kinds, carried, lease_s)
    except DBAPIError as error:
        require_lost_race(error)
    if len(carried) == 1:
        return []
    accepted = []  # one of them lost a race in its lane: the others are still good
    for job_id, attempt in carried.items():
        accepted += await accept(database, worker, kinds, {job_id: attempt}, lease_s)
    return accepted


async def _accept(
    database: Database, worker: str, kinds: Sequence[str], carried: Carried, lease_s: float
) -> list[Claimed]:
    values = {**_arrays(carried), "worker": worker, "kinds": list(kinds), "lease_s": lease_s}
    async with database.at_once() as connection:
        rows = (await connection.execute(_ACCEPT, values)).all()
    return [Claimed(row[0], TenantSlug(row[1]), *row[2:]) for row in rows]


async def hand_back(database: Database, kinds: Sequence[str] | None, carried: Carried) -> None:
    """What we do not run: to be handed out again, at once; a kind not among `kinds` after a rest.

    kinds: None = all are known. No attempt is used up.
    """
    values = {**_arrays(carried), "kinds": kinds if kinds is None else list(kinds), "strange_s": STRANGE_S}
    async with database.at_once() as connection:
        await connection.execute(_HAND_BACK, values)


def _arrays(carried: Carried) -> dict[str, Any]:
    return {"ids": list(carried), "attempts": list(carried.values())}
