"""What the database says at the end. The judge uses it to explain, and to find what is left in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from fleetprompt.database.embedded import ServerAddress
from tests.chaos.plan import TENANTS

RUNS = """
select e.id::text as id, e.state, e.error_code, s.payload->>'external_id' as post_id
from executions e left join signals s on s.id = e.signal_id
"""
DIRECTIVES = "select id::text as id, name, state, error_code, error from directives"
EFFECTS = "select key, state, error from effects"
JOBS = """
select id::text as id, tenant, kind, state, attempt, worker, last_error, scheduled_at::text as scheduled_at
from public.job where coalesce(unique_key, '') not like '%:recurring:%' or state = 'dead'
"""
ENDED = {
    "runs": {"succeeded", "failed", "canceled"},
    "directives": {"succeeded", "failed", "canceled"},
    "effects": {"sent", "failed"},
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows as dictionaries, each with its tenant."""

    runs: list[dict[str, Any]]
    directives: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    jobs: list[dict[str, Any]]

    def unfinished(self) -> list[str]:
        """What stands in a state that nobody may leave it in, in words. `outcome_unknown` too: here all could be asked."""
        found = [
            f"{job['kind']} job {job['id']} of {job['tenant']} is {job['state']}: {job['last_error']}"
            for job in self.jobs
        ]
        tables: Mapping[str, list[dict[str, Any]]] = {
            "runs": self.runs,
            "directives": self.directives,
            "effects": self.effects,
        }
        for name, rows in tables.items():
            found += [
                f"{name[:-1]} {row.get('id') or row.get('key')} of {row['tenant']} is {row['state']}"
                for row in rows
                if row["state"] not in ENDED[name]
            ]
        return found


async def gather(address: ServerAddress) -> Facts:
    """Look at all tenants, each with its own role."""
    connection = await _connect(address)
    try:
        jobs = [dict(row) for row in await connection.fetch(JOBS)]
        found: dict[str, list[dict[str, Any]]] = {RUNS: [], DIRECTIVES: [], EFFECTS: []}
        for tenant in TENANTS:
            await connection.execute(f"set role r_org_{tenant}; set search_path to org_{tenant}, pg_temp")
            for query, rows in found.items():
                rows += [{**row, "tenant": tenant} for row in await connection.fetch(query)]
            await connection.execute("reset role; reset search_path")
        return Facts(found[RUNS], found[DIRECTIVES], found[EFFECTS], jobs)
    finally:
        await connection.close()


async def open_jobs(address: ServerAddress) -> int:
    """Jobs that are still to be done, recurring ones left out."""
    connection = await asyncpg.connect(**address.kwargs(), timeout=10)
    try:
        return int(await connection.fetchval(f"select count(*) from ({JOBS}) as job where state <> 'dead'"))
    finally:
        await connection.close()


async def _connect(address: ServerAddress) -> asyncpg.Connection[Any]:
    """A server that was attacked last may not be back yet."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncpg.connect(**address.kwargs(), timeout=10)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.2)
