"""Who listens for which installation: a lease in the registry, decided by the database's clock alone."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug

CLAIMED_AT_ONCE = 50  # so that listeners that start together share the work

_COLUMNS = "installation_id, tenant, connector, account_key, generation"
_BEAT = text(f"""
update public.connections set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where holder = :holder and enabled returning {_COLUMNS}
""")  # noqa: S608
_CLAIM = text(f"""
update public.connections set holder = :holder,
    lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where installation_id in (
    select installation_id from public.connections
    where enabled and connector = any(:connectors) and (holder is null or lease_until < clock_timestamp())
    order by installation_id limit :limit for update skip locked)
returning {_COLUMNS}
""")  # noqa: S608
_LET_GO = text("update public.connections set holder = null, lease_until = null where holder = :holder")
_LET_GO_DISABLED = text(
    "update public.connections set holder = null, lease_until = null where holder = :holder and not enabled"
)


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
    values = {"holder": holder, "lease_s": lease_s}
    async with database.connection() as connection:
        await connection.execute(_LET_GO_DISABLED, {"holder": holder})
        rows = list(await connection.execute(_BEAT, values))
        claim = {**values, "connectors": connectors, "limit": CLAIMED_AT_ONCE}
        rows += list(await connection.execute(_CLAIM, claim))
    return [Held(row[0], TenantSlug(row[1]), *row[2:]) for row in rows]


async def let_go(database: Database, holder: str) -> None:
    """Hand everything back, so that another listener takes it at once."""
    async with database.connection() as connection:
        await connection.execute(_LET_GO, {"holder": holder})
