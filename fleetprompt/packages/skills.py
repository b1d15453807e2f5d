"""The catalogue of skills: those of each package's version that would be installed now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.model import Skill
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.manifest.provides import Skill as SkillTemplate
from fleetprompt.packages.published import choose, find_version


@dataclass(frozen=True, slots=True)
class Offered:
    """A skill, as its package's signed manifest says it."""

    package: str
    version: str
    skill: SkillTemplate


async def list_skills(database: Database) -> Sequence[Skill]:
    """By name, each from the highest version that is not withdrawn."""
    async with database.session() as session:
        rows = list(await session.scalars(select(Skill).order_by(Skill.name, Skill.package)))
    current = dict[str, str | None]()
    for package in {row.package for row in rows}:
        try:
            current[package] = (await choose(database, package)).row.version
        except Conflict:  # all of them are withdrawn
            current[package] = None
    return [row for row in rows if row.version == current[row.package]]


async def find_skill(database: Database, name: str) -> Offered:
    """By `name`, or `package/name` where several packages have it. Raises NotFound, Conflict, SignatureRefused."""
    package, _, short = name.rpartition("/")
    every = await list_skills(database)
    found = [row for row in every if row.name == short and package in ("", row.package)]
    if not found:
        raise NotFound(f"There is no skill {name[:80]!r}.", nearest(short, {row.name for row in every}))
    if len(found) > 1:
        names = " | ".join(f"{row.package}/{row.name}" for row in found)
        raise Conflict(f"Several packages have a skill {short!r}.", f"Say which: {names}")
    [row] = found
    manifest = (await find_version(database, row.package, row.version)).verified()
    skill = next(one for one in manifest.provides.skills if one.name == row.name)
    return Offered(row.package, row.version, skill)
