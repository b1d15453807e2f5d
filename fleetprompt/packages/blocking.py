"""A version that is revoked stops where it runs: its installations hear and post nothing until they are upgraded.

The revocation itself asks each organization to look; the clock asks again, for those that were at rest or imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.model import Installation
from fleetprompt.model.states import IN_FORCE, InstallationState
from fleetprompt.packages import directory
from fleetprompt.packages.house import House
from fleetprompt.packages.published import revocations
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.jobs.work import Postpone, Work
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import JobKind, Recurring
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

NAME: Final = "package.block_revoked"
OFTEN: Final = Recurring(NAME, NAME, "*/10 * * * *")
UPGRADE_TAKES_S: Final = 5.0

_ASK_ALL = text("""
insert into public.job (id, tenant, kind, args, priority, unique_key)
select gen_random_uuid(), slug, :kind, '{}', 5, slug || ':' || :kind || ':' || :label
from public.organizations where state = 'active'
on conflict do nothing
""")


async def ask_all(session: AsyncSession, label: str) -> None:
    """In the transaction of a revocation. label: `mattermost 1.0.0`."""
    await session.execute(_ASK_ALL, {"kind": NAME, "label": label})


def block_kind(house: House) -> JobKind:
    """Block what runs of revoked versions, each installation in a transaction of its own."""

    async def block(work: Work) -> None:
        revoked = await revocations(house.tenancy.database)
        async with work.step() as session:
            found = await _of(session, revoked)
        for installation in found:
            reason = revoked[installation.package, installation.version]
            async with house.tenancy.session(work.tenant) as session:
                await _block(house, session, installation, reason)
        if any(one.state == InstallationState.UPGRADING for one in found):
            raise Postpone(UPGRADE_TAKES_S, "An upgrade of a revoked version is under way.")

    return JobKind(NAME, block)


def why_blocked(package: str, version: str, reason: str) -> tuple[str, str]:
    """What has happened, and what to do."""
    what = f"{package} {version} is revoked: {reason}."
    ways = (f"fleetprompt package {verb} {package} --org ..." for verb in ("upgrade", "uninstall"))
    return what, f"Upgrade it, or uninstall it: {' | '.join(ways)}"


async def _of(session: TenantSession, revoked: Mapping[tuple[str, str], str]) -> list[Installation]:
    query = select(Installation).where(Installation.state.in_(IN_FORCE)).order_by(Installation.id)
    return [one for one in await session.scalars(query) if (one.package, one.version) in revoked]


async def _block(house: House, session: TenantSession, seen: Installation, reason: str) -> None:
    """An upgrade decides itself whether the version goes; one that has gone meanwhile is left alone."""
    installation = await session.get(Installation, seen.id, with_for_update=True)
    if installation is None or installation.state != InstallationState.INSTALLED:
        return
    if installation.version != seen.version:
        return
    what, advice = why_blocked(seen.package, seen.version, reason)
    values: dict[str, Any] = {
        "blocked": reason,
        "error": f"{what} {advice}",
        "error_code": "conflict",
        "generation": installation.generation + 1,
        "updated_at": func.now(),
    }
    await move(session, installation, InstallationState.DISABLED, **values)
    await tell(session, house.registry, installation, "package.blocked", SYSTEM, reason=reason)
    await directory.disable(session, installation)
