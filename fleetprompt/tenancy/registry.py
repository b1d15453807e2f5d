"""A step out into the registry, in the very transaction of a tenant: one commit for a membership and its signal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.tenancy.session import TenantSession
from fleetprompt.tenancy.slugs import role_name

_LEAVE = text("select set_config('role', 'none', true)")
_RETURN = text("select set_config('role', :role, true)")


@asynccontextmanager
async def in_registry(session: TenantSession) -> AsyncIterator[None]:
    """Within the block the service's own role reads and writes schema `public`, and cannot touch the tenant's tables.

    After an error of ours the session is the tenant's again; after one of Postgres the transaction is void anyway.
    """
    await session.flush()
    await session.execute(_LEAVE)
    try:
        yield
    except FleetPromptError:
        await _come_back(session)
        raise
    await session.flush()
    await _come_back(session)


async def _come_back(session: TenantSession) -> None:
    await session.execute(_RETURN, {"role": role_name(session.tenant)})
