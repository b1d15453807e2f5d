"""One opener of tenant sessions: role and search path are set locally, in one round trip, in each transaction.

Never a bare SET: a pooled connection would carry it to another tenant. The service's own role does not inherit the
tenant's rights, so a transaction that forgot the role is denied even on the tenant's own tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.database.driver import Driver, Sql, literal
from fleetprompt.database.engine import SERVED, Database
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import fault_point
from fleetprompt.tenancy.slugs import role_name, schema_name


@dataclass(frozen=True, slots=True)
class Fence:
    """The claim on a job under which a worker writes: void once another worker has claimed the job."""

    job_id: UUID
    attempt: int
    worker: str


class Fenced(FleetPromptError):
    """The lease was lost: another worker owns this job now, so nothing was written."""

    code = "fenced"


class TenantSession(AsyncSession):
    """A transaction that sees one tenant. Only `Tenancy.session` makes one."""

    tenant: TenantSlug
    moves: list[tuple[str, str, str]]
    """(machine, source, target) of each state move made here; their fault points are reached after the commit."""
    last: list[str]
    """Statements that go with the commit, in the same round trip."""
    driver: Driver

    async def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what the toolkit has to write, if it has anything."""
        if self.dirty or self.new or self.deleted:
            await super().flush(objects)

    async def fetch(self, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows of a hot statement. What the session itself has not flushed is not seen by it."""
        return await self.driver.fetch(statement, values)


_IS_THERE: Final = Sql("select to_regnamespace(:schema) is not null")
_CLAIM: Final = "select 1 from public.job where {} for key share"  # lets the heartbeat through, but no reaper
_CLAIM_AND_END: Final = "delete from public.job where {} returning 1"


class Tenancy:
    """Opens tenant sessions on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @asynccontextmanager
    async def session(
        self, tenant: TenantSlug, *, fence: Fence | None = None, finish: bool = False
    ) -> AsyncIterator[TenantSession]:
        """One transaction of one tenant, committed at the end of the block.

        fence: the claim under which this is written; finish: the job is done with this very commit.
        Raises Fenced if the claim is void, NotFound if there is no such tenant.
        """
        async with self.database.lend() as driver:
            session = TenantSession(driver.connection, expire_on_commit=False, autoflush=False)
            session.tenant, session.driver, session.moves, session.last = tenant, driver, [], []
            try:
                await _enter(session, fence, finish)
                yield session
                await session.flush()
                await driver.commit(*session.last)
            except BaseException:
                await driver.roll_back()
                raise
            finally:
                session.sync_session.close()
        for move in session.moves:
            faults.reach(fault_point(*move, committed=True))


async def _enter(session: TenantSession, fence: Fence | None, finish: bool) -> None:
    """Begin, and take the tenant's place, in one round trip."""
    driver, schema = session.driver, schema_name(session.tenant)
    assert driver.connection.sync_connection is not None
    driver.connection.sync_connection.info.setdefault(SERVED, set()).add(session.tenant)
    try:
        entered = await driver.begin(_entry(session.tenant, schema, fence, finish))
    except DBAPIError as error:
        if "does not exist" in str(error.orig) and "role" in str(error.orig):
            raise _unknown(session.tenant) from error
        raise
    if entered == "SELECT 1":
        return
    [(is_there,)] = await driver.fetch(_IS_THERE, {"schema": schema})
    if not is_there:  # roles belong to the whole server: this one is of another database's tenant
        raise _unknown(session.tenant)
    assert fence is not None, "without a claim nothing else is asked for"
    raise Fenced(f"Job {fence.job_id} is no longer ours.")


def _entry(tenant: TenantSlug, schema: str, fence: Fence | None, finish: bool) -> str:
    """One row if it is done; none where there is no such schema, or the claim is void."""
    place = (
        f"select set_config('role', {literal(role_name(tenant))}, true),"
        f" set_config('search_path', {literal(f'{schema}, pg_temp')}, true){{}}"
        f" where to_regnamespace({literal(schema)}) is not null"
    )
    if fence is None:
        return place.format("")
    held = (
        f"id = {literal(fence.job_id)} and attempt = {literal(fence.attempt)}"
        f" and worker = {literal(fence.worker)} and state = 'running'"
    )
    claim = (_CLAIM_AND_END if finish else _CLAIM).format(held)
    return f"with claim as ({claim}) {place.format(' from claim')}"


def _unknown(tenant: TenantSlug) -> NotFound:
    return NotFound(f"There is no organization {tenant!r}.", "See: fleetprompt org list")
