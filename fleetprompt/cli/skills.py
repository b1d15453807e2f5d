"""`fleetprompt skills`: the catalogue of what packages teach agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Skill
    from fleetprompt.packages.skills import Offered

FIELDS = ("name", "package", "version", "title", "description", "tools")
SHOWN = (*FIELDS, "instructions", "examples")


@click.group("skills")
def skills() -> None:
    """Skills: the know-how that packages bring for agents."""


@skills.command("list", help=f"All skills of the packages that can be chosen.\n\n{options.fields(FIELDS)}")
@options.as_json
def list_(as_json: bool) -> None:
    async def act(house: House) -> Sequence[Skill]:
        from fleetprompt.packages.skills import list_skills

        return await list_skills(house.database)

    rows = [output.pick(skill, FIELDS) for skill in in_house(act)]
    columns = ("name", "package", "title", "description")
    output.show_rows(rows, columns, as_json=as_json, nothing="No package brings a skill.")


@skills.command(
    help=f"""One skill in full, as its package's author signed it.

NAME, or PACKAGE/NAME where several packages have it.

{options.fields(SHOWN)}"""
)
@click.argument("name")
@options.as_json
def show(name: str, as_json: bool) -> None:
    async def act(house: House) -> Offered:
        from fleetprompt.packages.skills import find_skill

        return await find_skill(house.database, name)

    found = in_house(act)
    words = {**found.skill.model_dump(mode="json"), "package": found.package, "version": found.version}
    output.show_one({name: words[name] for name in SHOWN}, as_json=as_json)
