"""What tests of whole tenants run in processes of their own, by `tests.killing`."""

from __future__ import annotations

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy import removal, suspension
from tests.programs import opened


async def suspend(url: str, slug: str) -> None:
    """Let it rest."""
    async with opened(url) as database:
        await suspension.suspend(database, TenantSlug(slug))


async def delete(url: str, slug: str) -> None:
    """Remove it."""
    async with opened(url) as database:
        await removal.delete_organization(database, TenantSlug(slug))
