"""An attachment's content, or the whole mail, out of the tenant's tables."""

from __future__ import annotations

from uuid import UUID

from adapters.proton_mail import Attachment
from fleetprompt.connectors.proton_mail import raw
from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Signal
from fleetprompt.tenancy import TenantSession


async def read_attachment(session: TenantSession, signal_id: UUID, number: int) -> tuple[str, bytes]:
    """(safe name, content) of the nth attachment, from 1. Raises NotFound."""
    signal = await session.get(Signal, signal_id)
    found = signal.payload.get("attachments", []) if signal is not None else []
    if not 1 <= number <= len(found):
        listed = "; ".join(f"{place}: {one['name']}" for place, one in enumerate(found, 1))
        raise NotFound(
            f"This mail has {len(found)} attachment(s).",
            f"There is {listed}." if listed else "See: fleetprompt signals list --org ... --name 'email.*'",
        )
    one = Attachment(**found[number - 1])
    return one.name, b"".join(one.content(await raw.read(session, signal_id)))


async def read_mail(session: TenantSession, signal_id: UUID) -> bytes:
    """As it was fetched. Raises NotFound."""
    return await raw.read(session, signal_id)
