"""Which signals a tenant's workflows ask for: decided in the statement that stores them, so at no round trip more."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from fleetprompt.tenancy import TenantSession

ANY_BELOW = ".*"
"""`chat.*` stands for each name that begins with `chat.`."""
_IN_FORCE = (
    "state = 'active' and (installation_id is null or exists (select from installations i"
    " where i.id = workflows.installation_id and i.state in ('installed', 'upgrading') and i.blocked is null))"
)
"""That of a package rests while its installation is disabled or blocked."""


def is_wanted(name: str) -> str:
    """SQL that is true if an active workflow asks for the signal whose name the SQL `name` gives."""
    return f"exists (select from workflows where {_IN_FORCE} and {_fits(name)})"


def _fits(name: str) -> str:
    below = f"right(signal_pattern, 2) = '.*' and starts_with({name}, rtrim(signal_pattern, '*'))"
    return f"(signal_pattern = {name} or ({below}))"


# ruff: noqa: S608 - constants of this very file
_WANTED = text(f"select id from signals where id = any(:ids) and {is_wanted('signals.name')}")
_ASKING = text(f"select id from workflows where {_IN_FORCE} and {_fits('cast(:name as text)')} order by id")


async def wanted_signals(session: TenantSession, ids: Collection[UUID]) -> set[UUID]:
    """Those of these stored signals that an active workflow asks for."""
    return set((await session.scalars(_WANTED, {"ids": list(ids)})).all())


async def asking_workflows(session: TenantSession, name: str) -> list[UUID]:
    """The active workflows that ask for signals of this name, oldest first."""
    return list((await session.scalars(_ASKING, {"name": name})).all())


def fits(pattern: str, name: str) -> bool:
    """The same in Python."""
    return pattern == name or (pattern.endswith(ANY_BELOW) and name.startswith(pattern[:-1]))
