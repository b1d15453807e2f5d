"""A tenant that has grown by a day's volume, beside one that has not: what is done all day must cost the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy import delete

from bench.figure import Figure
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Job
from fleetprompt.runtime.jobs import NewJob, claim, enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.signals.find import SignalFilter, list_signals
from fleetprompt.runtime.signals.retention import BATCH
from fleetprompt.runtime.trace_find import find_correlation
from tests.house import ACME, GLOBEX, House

SIGNALS, OLD = 1_000_000, 2 * BATCH
TIMES = 60
MOST = 1.5
NAME = "bench.happened"

# Ids as `new_id` makes them, a day's worth, so that indexes grow as they would; a few are past their time.
_FILL = """
insert into signals (id, name, dedupe_key, correlation_id, actor_kind, actor_id, actor_name, payload, retention,
    occurred_at, created_at)
select (lpad(to_hex(ms), 12, '0') || '7' || substr(noise, 14, 3) || '8' || substr(noise, 18, 15))::uuid, 'chat.message.received',
    noise, noise::uuid, 'human', 'u' || n % 500, 'someone', jsonb_build_object('text', repeat(noise, 8)), 'standard', at, at
from (select n, md5(n::text) as noise, (extract(epoch from at) * 1000)::bigint as ms, at from (
    select n, case when n <= $2 then now() - interval '40 days' else now() - make_interval(secs => (n % 86400)) end as at
    from generate_series(1, $1::bigint) n) moments) days
"""
_SWEEP = """
with old as (select id from signals where retention = 'standard' and created_at < now() - interval '30 days'
    order by created_at limit $1) delete from signals using old where signals.id = old.id
"""


async def measure(house: House, signals: int = SIGNALS, times: int = TIMES) -> list[Figure]:
    """globex has grown, acme has not; each pair is measured in turns."""
    await house.tenant_rows(GLOBEX, _FILL, signals, OLD)
    await house.tenant_rows(ACME, _FILL, OLD, OLD)
    for tenant in (ACME, GLOBEX):
        await house.tenant_rows(tenant, "vacuum analyze signals")
    registry = Registry()
    registry.add_signal(NAME, "Something happened.", retention="standard")
    deeds: dict[str, Callable[[TenantSlug], Awaitable[object]]] = {
        "emitted": lambda tenant: _emit(house, registry, tenant),
        "listed": lambda tenant: _list(house, tenant),
        "found for a trace": lambda tenant: _trace(house, tenant),
        "claimed": lambda tenant: _claim(house, tenant),
        f"swept, {BATCH // 10} rows,": lambda tenant: house.tenant_rows(tenant, _SWEEP, BATCH // 10),
    }
    return [await _figure(name, deed, signals, times) for name, deed in deeds.items()]


async def _figure(
    name: str, deed: Callable[[TenantSlug], Awaitable[object]], signals: int, times: int
) -> Figure:
    taken_ms: dict[TenantSlug, list[float]] = {ACME: [], GLOBEX: []}
    for number in range(min(times, 15) if name.startswith("swept") else times):
        for tenant in (ACME, GLOBEX) if number % 2 else (GLOBEX, ACME):
            began = time.perf_counter()
            await deed(tenant)
            taken_ms[tenant].append((time.perf_counter() - began) * 1000)
    small, grown = (statistics.median(taken_ms[tenant]) for tenant in (ACME, GLOBEX))
    label = f"{name} ms, with {signals:,} signals"
    return Figure(label, grown, small, grown / small, f"at most {MOST}", grown / small <= MOST)


async def _emit(house: House, registry: Registry, tenant: TenantSlug) -> None:
    async with house.tenancy.session(tenant) as session:
        key = str(new_id())
        await emit(session, registry, NewSignal(NAME, {"n": key}, Actor("system", "bench"), dedupe_key=key))


async def _list(house: House, tenant: TenantSlug) -> None:
    async with house.tenancy.session(tenant) as session:
        assert await list_signals(session, SignalFilter(name="chat.message.received"), 50)


async def _trace(house: House, tenant: TenantSlug) -> UUID:
    async with house.tenancy.session(tenant) as session:
        [newest] = await list_signals(session, SignalFilter(), 1)
    return await find_correlation(house.tenancy, tenant, str(newest.id))


async def _claim(house: House, tenant: TenantSlug) -> None:
    async with house.tenancy.session(tenant) as session:
        await enqueue(session, NewJob("bench.nothing", {}))
    [job] = await claim.claim(house.database, "bench", ["bench.nothing"], 4, 60.0)
    async with house.database.connection() as connection:
        await connection.execute(delete(Job).where(Job.id == job.id))
