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

from fleetprompt.database.driver import Driver, Sql
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


# ruff: noqa: S608 - constants of this very file
_PLACE: Final = "set_config('role', :role, true), set_config('search_path', :path, true), to_regnamespace(:schema) is not null"
_HELD: Final = "public.job where id = :id and attempt = :attempt and worker = :worker and state = 'running'"
_ENTER: Final = Sql(f"select {_PLACE}")
_ENTER_FENCED: Final = Sql(
    f"with claim as (select 1 from {_HELD} for key share)"  # lets the heartbeat through, but no reaper
    f" select {_PLACE}, (select count(*) from claim)"
)
_ENTER_FINISHING: Final = Sql(
    f"with claim as (delete from {_HELD} returning 1) select {_PLACE}, (select count(*) from claim)"
)


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
    driver = session.driver
    assert driver.connection.sync_connection is not None
    driver.connection.sync_connection.info.setdefault(SERVED, set()).add(session.tenant)
    await driver.begin()
    try:
        [row] = await driver.fetch(*_entry(session.tenant, fence, finish))
    except DBAPIError as error:
        if "does not exist" in str(error.orig) and "role" in str(error.orig):
            raise _unknown(session.tenant) from error
        raise
    if not row[2]:  # roles belong to the whole server: this one is of another database's tenant
        raise _unknown(session.tenant)
    if fence is not None and row[3] != 1:
        raise Fenced(f"Job {fence.job_id} is no longer ours.")


def _entry(tenant: TenantSlug, fence: Fence | None, finish: bool) -> tuple[Sql, dict[str, Any]]:
    schema = schema_name(tenant)
    place = {"role": role_name(tenant), "path": f"{schema}, pg_temp", "schema": schema}
    if fence is None:
        return _ENTER, place
    claim = {"id": fence.job_id, "attempt": fence.attempt, "worker": fence.worker}
    return (_ENTER_FINISHING if finish else _ENTER_FENCED), {**place, **claim}


def _unknown(tenant: TenantSlug) -> NotFound:
    return NotFound(f"There is no organization {tenant!r}.", "See: fleetprompt org list")
