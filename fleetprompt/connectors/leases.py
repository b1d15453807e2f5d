"""Who listens for which installation: a lease in the registry, decided by the database's clock alone."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug

CLAIMED_AT_ONCE = 50  # so that listeners that start together share the work

_COLUMNS = "installation_id, tenant, connector, account_key, generation"
# One statement, so one transaction that ends without us: a listener frozen between two would keep its rows locked, and
# no other could take them over.
_HOLD = text(f"""
with disabled as (
    update public.connections set holder = null, lease_until = null where holder = :holder and not enabled),
kept as (
    update public.connections set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    where holder = :holder and enabled returning {_COLUMNS}),
free as (
    select installation_id from public.connections
    where enabled and connector = any(:connectors) and holder is distinct from :holder
        and (holder is null or lease_until < clock_timestamp())
    order by installation_id limit :limit for update skip locked),
taken as (
    update public.connections set holder = :holder, lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    where installation_id in (select installation_id from free) returning {_COLUMNS})
select * from kept union all select * from taken
""")  # noqa: S608
_LET_GO = text("update public.connections set holder = null, lease_until = null where holder = :holder")


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that is ours while its lease lasts."""

    installation_id: UUID
    tenant: TenantSlug
    connector: str
    account_key: str
    generation: int


async def hold(database: Database, holder: str, connectors: list[str], lease_s: float) -> list[Held]:
    """Prolong what we hold, take what nobody holds; returns all that is ours now."""
    values = {"holder": holder, "lease_s": lease_s, "connectors": connectors, "limit": CLAIMED_AT_ONCE}
    async with database.at_once() as connection:
        rows = (await connection.execute(_HOLD, values)).all()
    return [Held(row[0], TenantSlug(row[1]), *row[2:]) for row in rows]


async def let_go(database: Database, holder: str) -> None:
    """Hand everything back, so that another listener takes it at once."""
    async with database.at_once() as connection:
        await connection.execute(_LET_GO, {"holder": holder})
