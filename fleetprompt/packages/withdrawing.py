"""Taking a published version back: yank = nobody chooses it any more, revoke = nobody may install it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, update

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.model import PackageVersion
from fleetprompt.packages.blocking import ask_all
from fleetprompt.packages.published import Published, find_version

MAX_REASON = 300


async def yank(database: Database, slug: str, version: str, reason: str) -> Published:
    """Exact pins still work. Once more changes nothing, the first reason stays. Raises NotFound, InvalidInput."""
    new = {"yanked_at": func.now(), "yanked_reason": _checked(reason)}
    return await _withdraw(database, slug, version, new)


async def revoke(database: Database, slug: str, version: str, reason: str) -> Published:
    """For good: no install, no pin, and what runs of it is stopped. Raises NotFound, InvalidInput."""
    new = {"revoked_at": func.now(), "revoked_reason": _checked(reason)}
    return await _withdraw(database, slug, version, new, stop=True)


async def _withdraw(
    database: Database, slug: str, version: str, new: Mapping[str, object], *, stop: bool = False
) -> Published:
    await find_version(database, slug, version)
    moment = next(name for name in new if name.endswith("_at"))
    this = update(PackageVersion).where(PackageVersion.package == slug, PackageVersion.version == version)
    async with database.session() as session:
        await session.execute(this.where(getattr(PackageVersion, moment).is_(None)).values(**new))
        if stop:
            await ask_all(session, f"{slug} {version}")
    return await find_version(database, slug, version)


def _checked(reason: str) -> str:
    text = " ".join(reason.split())
    if not text or len(text) > MAX_REASON or not text.isprintable():
        raise InvalidInput("Say why.", f"--reason takes one line of at most {MAX_REASON} characters.")
    return text.rstrip(".")
