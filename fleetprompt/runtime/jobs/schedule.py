"""Recurring jobs: a row for each tenant and name; its `next_at` moves by compare-and-set with the job's insertion.

Two schedulers that see the same due row: one moves it and inserts the job, the other changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from cronsim import CronSim
from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.model import Organization, Schedule
from fleetprompt.model.states import OrganizationState
from fleetprompt.runtime.registry import Recurring
from fleetprompt.tenancy import Tenancy

_FIRE = text("""
with moved as (
    update public.schedule set next_at = :next_at, last_at = now()
    where name = :name and tenant = :tenant and next_at = :seen returning kind, tenant, name)
insert into public.job (id, tenant, kind, args, priority, unique_key)
select gen_random_uuid(), tenant, kind, '{}', 10, tenant || ':recurring:' || name from moved
on conflict do nothing
""")

_RENEW = text(
    "update public.schedule set kind = :kind, cron = :cron, next_at = least(next_at, :next_at)"
    " where name = :name and (kind <> :kind or cron <> :cron)"
)
"""Another version of the program may have other times."""


async def fire_due(tenancy: Tenancy, recurring: Iterable[Recurring]) -> int:
    """Insert a job for each recurring one that is due; returns how many rows were seen due."""
    known = {item.name: item for item in recurring}
    if not known:
        return 0
    async with tenancy.database.session() as session:
        now = (await session.execute(select(func.now()))).scalar_one()
        await _introduce(session, known.values(), now)
        for item in known.values():
            renewed = {"name": item.name, "kind": item.kind, "cron": item.cron}
            await session.execute(_RENEW, {**renewed, "next_at": next_after(item.cron, now)})
        rows = list(await session.scalars(_due(known, now)))
        for row in rows:
            values = {"name": row.name, "tenant": row.tenant, "seen": row.next_at}
            await session.execute(_FIRE, {**values, "next_at": next_after(row.cron, now)})
    return len(rows)


def _due(names: Collection[str], now: datetime) -> Select[Schedule]:
    """Of active tenants; in one order, so that two schedulers never wait for each other crosswise."""
    active = select(Organization.slug).where(Organization.state == OrganizationState.ACTIVE)
    return (
        select(Schedule)
        .where(Schedule.next_at <= now, Schedule.name.in_(names), Schedule.tenant.in_(active))
        .order_by(Schedule.tenant, Schedule.name)
    )


async def _introduce(session: AsyncSession, recurring: Collection[Recurring], now: datetime) -> None:
    """Give each active tenant its rows; done for new tenants and new names alone."""
    missing = text(
        "select o.slug from public.organizations o where o.state = 'active' and (select count(*) from"
        " public.schedule s where s.tenant = o.slug and s.name = any(:names)) < :count"
    )
    names = [item.name for item in recurring]
    slugs = list(await session.scalars(missing, {"names": names, "count": len(names)}))
    for slug in slugs:
        for item in recurring:
            values = {"name": item.name, "tenant": slug, "kind": item.kind, "cron": item.cron}
            statement = insert(Schedule).values(**values, next_at=next_after(item.cron, now))
            await session.execute(statement.on_conflict_do_nothing())


def next_after(cron: str, moment: datetime) -> datetime:
    """The next firing strictly after `moment`."""
    return next(CronSim(cron, moment))
