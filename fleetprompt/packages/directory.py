"""The directory of connections in the registry, changed in the very transaction that changes the installation.

A tenant's role may not touch it: so the transaction lays the role down first, and is done with the tenant's tables.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.database.engine import Database
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Connection, Installation
from fleetprompt.tenancy import TenantSession

ACCOUNT_TAKEN = "connections_account_key_key"
"""The constraint that says so."""


async def enroll(session: TenantSession, installation: Installation, *, enabled: bool) -> None:
    """Write the installation's entry: its account, its generation, whether it listens.

    The last act of its transaction. Raises IntegrityError (ACCOUNT_TAKEN) if another installation has the account.
    """
    tenant = await lay_role_down(session)
    values = {
        "account_key": installation.account["key"],
        "generation": installation.generation,
        "enabled": enabled,
    }
    new = insert(Connection).values(
        installation_id=installation.id, tenant=tenant, connector=installation.package, **values
    )
    await session.execute(new.on_conflict_do_update(index_elements=["installation_id"], set_=values))


async def disable(session: TenantSession, installation: Installation) -> None:
    """Stop listening. The last act of its transaction."""
    await lay_role_down(session)
    off = update(Connection).where(Connection.installation_id == installation.id)
    await session.execute(off.values(enabled=False, generation=installation.generation))


async def remove(session: TenantSession, installation: Installation) -> None:
    """Free the account. The last act of its transaction."""
    await lay_role_down(session)
    await session.execute(delete(Connection).where(Connection.installation_id == installation.id))


async def owner_of(database: Database, account_key: str) -> TenantSlug | None:
    """Whose account it is now."""
    async with database.session() as session:
        slug = await session.scalar(select(Connection.tenant).where(Connection.account_key == account_key))
    return None if slug is None else TenantSlug(slug)


async def is_listened_to(database: Database, installation_id: UUID) -> bool:
    """Whether a listener holds it now."""
    async with database.session() as session:
        held = select(Connection.installation_id).where(
            Connection.installation_id == installation_id,
            Connection.holder.is_not(None),
            Connection.lease_until > func.now(),
        )
        return await session.scalar(held) is not None


async def lay_role_down(session: TenantSession) -> TenantSlug:
    """Go on as the service's own role, on the registry alone."""
    await session.flush()
    await session.execute(
        text("select set_config('role', 'none', true), set_config('search_path', 'public', true)")
    )
    return session.tenant
