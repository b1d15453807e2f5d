"""A thousand organizations: made one after the other, then all migrated; and what a backend remembers of them."""

from __future__ import annotations

import statistics
import time
from unittest.mock import patch

from bench.figure import Figure
from fleetprompt.database import scripts
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.migrations import migrate_tenants
from fleetprompt.tenancy.organizations import create_organization
from tests.house import House

TENANTS = 1_000
CREATED_MS = 60.0
MIGRATED_S = 30.0
NEXT = "tenant_bench"
STEP = f"""
ALTER TABLE signals ADD COLUMN bench TEXT;
CREATE INDEX signals_bench ON signals (bench);
UPDATE alembic_version SET version_num = '{NEXT}';
"""


async def measure(house: House, tenants: int = TENANTS) -> list[Figure]:
    """Milliseconds for each that is made, seconds for the migration of all by one column and one index."""
    slugs = [TenantSlug(f"bench_{number}") for number in range(tenants)]
    created_ms = []
    for slug in slugs:
        began = time.perf_counter()
        await create_organization(house.database, slug)
        created_ms.append((time.perf_counter() - began) * 1000)
    migrated_s = await _migrate(house, tenants)
    return [
        _figure("organization created, ms (median)", statistics.median(created_ms), CREATED_MS),
        _figure(f"{tenants:,} organizations migrated, s", migrated_s, MIGRATED_S),
    ]


async def _migrate(house: House, tenants: int) -> float:
    """A program that is one migration ahead meets them all."""
    with (
        patch.object(scripts, "head", lambda _: NEXT),
        patch.object(scripts, "upgrade_script", lambda *_: STEP),
    ):
        began = time.perf_counter()
        outcomes = await migrate_tenants(house.database)
        migrated_s = time.perf_counter() - began
    assert [one.error for one in outcomes if one.error] == []
    assert len(outcomes) >= tenants
    return migrated_s


def _figure(name: str, value: float, most: float) -> Figure:
    return Figure(name, value, None, None, f"at most {most:.0f}", value <= most)
