"""What tests of whole tenants run in processes of their own, by `tests.killing`."""

from __future__ import annotations

from pathlib import Path

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy import removal, suspension
from fleetprompt.tenancy.export import export_organization
from fleetprompt.tenancy.move_in import import_database
from fleetprompt.tenancy.restore import restore_organization
from tests.programs import opened


async def suspend(url: str, slug: str) -> None:
    """Let it rest."""
    async with opened(url) as database:
        await suspension.suspend(database, TenantSlug(slug))


async def delete(url: str, slug: str) -> None:
    """Remove it."""
    async with opened(url) as database:
        await removal.delete_organization(database, TenantSlug(slug))


async def export(url: str, slug: str, path: str) -> None:
    """Write it into a file."""
    async with opened(url) as database:
        await export_organization(database, TenantSlug(slug), Path(path))


async def restore(url: str, path: str) -> None:
    """Make it from a file."""
    async with opened(url) as database:
        await restore_organization(database, Path(path))


async def move_in(url: str, path: str) -> None:
    """Fill an empty database from a file."""
    async with opened(url) as database:
        await import_database(database, Path(path))
