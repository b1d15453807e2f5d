"""`fleetprompt skills`: the catalogue of what packages teach agents."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house, operator, require_org

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Skill
    from fleetprompt.packages.inline import Ended
    from fleetprompt.packages.skills import Offered

FIELDS = ("name", "package", "version", "title", "description", "tools")
SHOWN = (*FIELDS, "instructions", "examples")
END = ("state", "error_code", "error", "receipt")
RESULT = ("agent", "skill", *END)
DONE = {"attach": "has now the skill", "detach": "has no longer the skill"}


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


def _change(verb: str, about: str) -> None:
    @skills.command(verb, help=f"{about}\n\n{options.fields(RESULT)}")
    @click.argument("name")
    @click.option("--agent", required=True, help="Which agent.")
    @options.org
    @options.as_json
    def change(name: str, agent: str, org: str, as_json: bool) -> None:
        ended = in_house(_asked(verb, name, agent, org))
        row = {"agent": agent, "skill": name, **output.pick(ended, END)}
        if as_json:
            output.show_json([row])
        elif ended.succeeded:
            output.say(output.harmless(f"{ended.receipt['agent']}: {DONE[verb]} {ended.receipt['skill']}."))
        else:
            output.warn(output.harmless(ended.error or f"The directive is {ended.state}."))
        sys.exit(0 if ended.succeeded else 1)


def _asked(verb: str, name: str, agent: str, org: str) -> Callable[[House], Awaitable[Ended]]:
    async def act(house: House) -> Ended:
        from fleetprompt.packages import attaching
        from fleetprompt.packages.inline import run_now

        tenant = await require_org(house, org)
        handler = getattr(attaching, verb)
        id_ = await handler(house.services.packages, tenant, name, agent, actor=operator())
        return await run_now(house.services.packages, tenant, id_)

    return act


_change("attach", "Teach an agent a skill, as its package's author signed it.")
_change("detach", "Have an agent forget a skill.")
