"""Addresses that nothing is sent to, for a person: which they are and why, and writing to one again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import SuppressedAddress
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

RESTORED: Final = "email.address.restored"


async def list_suppressed(session: TenantSession, limit: int) -> Sequence[SuppressedAddress]:
    """The newest ones, oldest of them first."""
    query = select(SuppressedAddress).order_by(SuppressedAddress.created_at.desc()).limit(limit)
    return list(await session.scalars(query))[::-1]


async def restore(session: TenantSession, registry: Registry, address: str, by: Actor) -> SuppressedAddress:
    """Write to it again; what failed meanwhile is retried by a person. Raises NotFound."""
    row = await session.get(SuppressedAddress, address.strip().lower())
    if row is None:
        raise NotFound("This address is not suppressed.", "See: fleetprompt mail suppressed list --org ...")
    await session.execute(delete(SuppressedAddress).where(SuppressedAddress.address == row.address))
    payload = {"reason": row.reason, "directive_id": str(row.directive_id) if row.directive_id else None}
    await emit(session, registry, NewSignal(RESTORED, {"address": row.address, **payload}, by))
    return row
