"""How jobs get to workers: the broker answers, and each kind of job that waits has a worker that knows it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from fleetprompt.composition import House
from fleetprompt.doctor.finding import Finding, counted, ok, warn
from fleetprompt.doctor.work import ALIVE_S
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.jobs.carriers import carrier_name, queue_name, require_reachable

_STRANGE: Final = text("""
with known as (
    select distinct kind from public.worker, unnest(kinds) kind where seen_at > now() - make_interval(secs => :alive_s)),
strange as (
    select * from public.job where state in ('available', 'dispatched') and scheduled_at <= now()
        and kind not in (select kind from known) and exists (select 1 from known))
select tenant, kind, count(*), (
    select count(*) from public.job behind where behind.state in ('available', 'dispatched')
        and exists (select 1 from strange s where s.tenant = strange.tenant and s.kind = strange.kind
            and s.lane = behind.lane and (s.position, s.id) < (behind.position, behind.id)))
from strange group by tenant, kind order by tenant, kind
""")


@dataclass(frozen=True, slots=True)
class Strange:
    """Due jobs of a kind that no living worker knows. behind: how many others wait in their lanes."""

    tenant: str
    kind: str
    count: int
    behind: int


async def check_broker(house: House) -> Finding:
    """It can be reached, and holds what jobs need."""
    if house.settings.broker_url is None:
        return ok("broker", "none: Postgres carries the jobs")
    url = house.settings.broker_url.get_secret_value()
    try:
        await require_reachable(url, await queue_name(house.database))
    except FleetPromptError as error:
        return warn("broker", error.what, error.advice)
    return ok("broker", f"{carrier_name(url)} carries the jobs")


async def check_kinds(house: House, slugs: Collection[TenantSlug] | None) -> list[Finding]:
    """No job waits for a worker that does not exist. slugs: of these tenants alone, None = all."""
    async with house.database.connection() as connection:
        rows = (await connection.execute(_STRANGE, {"alive_s": ALIVE_S})).all()
    return [
        judge_strange(one) for one in (Strange(*row) for row in rows) if slugs is None or one.tenant in slugs
    ]


def judge_strange(one: Strange) -> Finding:
    """Of one tenant's jobs of one kind."""
    behind = f"; {counted(one.behind, 'job')} behind in the same lanes" if one.behind else ""
    detail = f"{counted(one.count, 'job')} of a kind that no running worker knows: {one.kind}{behind}"
    return warn(
        "job kinds", detail, "Start a worker of the version that has it: fleetprompt worker", one.tenant
    )
