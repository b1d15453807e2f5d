"""`fleetprompt agent`: who answers in an organization, with which tools, model and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant, operator

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Agent
    from fleetprompt.tenancy import TenantSession

FIELDS = (
    "id",
    "name",
    "state",
    "purpose",
    "tools",
    "scopes",
    "installation_id",
    "model",
    "limits",
    "policies",
    "created_at",
    "updated_at",
)
SHOWN = (*FIELDS, "instructions", "skills")
SKILL = (
    "package",
    "version",
    "name",
    "title",
    "description",
    "instructions",
    "tools",
    "examples",
    "installation_id",
)
STATES = {"pause": "paused", "resume": "active", "archive": "archived"}


@click.group("agent")
def agents() -> None:
    """Agents: purpose, instructions, tools, model, limits, and whether they answer."""


def _settings(command: Any) -> Any:
    """What `create` and `set` share."""
    for option in reversed(
        (
            click.option("--purpose", help="What it is for, in a sentence."),
            click.option("--instructions", help="How it shall go about it."),
            click.option("--tool", "tools", multiple=True, help="A tool it may use; repeat for more."),
            click.option("--no-tools", is_flag=True, help="Take all tools away."),
            click.option(
                "--model", help="openai:NAME, anthropic:NAME or builtin; empty = the service's model."
            ),
            click.option("--limit", "limits", multiple=True, metavar="KEY=VALUE", help="As max_steps=4."),
            click.option(
                "--policy", "policies", multiple=True, metavar="KEY=VALUE", help="As follow_threads=true."
            ),
        )
    ):
        command = option(command)
    return command


@agents.command(help=f"Make an agent that answers at once.\n\n{options.fields(SHOWN)}")
@click.argument("name")
@options.org
@_settings
@options.as_json
def create(name: str, org: str, as_json: bool, **given: Any) -> None:
    async def act(house: House, session: TenantSession) -> Agent:
        from fleetprompt.runtime.agents.manage import create_agent

        values = _values(given, {}, {})
        _check_model(house, values)
        return await create_agent(session, house.registry, name, operator(), **values)

    made = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(made, SHOWN)])
    else:
        output.say(f"Agent {made.name} is {made.state}, with {len(made.tools)} tools.")


@agents.command("list", help=f"All agents but the archived.\n\n{options.fields(FIELDS)}")
@options.org
@options.as_json
def list_(org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Agent]:
        from fleetprompt.runtime.agents.manage import list_agents

        return await list_agents(session)

    rows = [output.pick(agent, FIELDS) for agent in in_tenant(org, act)]
    nothing = f"There is no agent yet. Make one: fleetprompt agent create NAME --org {org}"
    output.show_rows(rows, ("name", "state", "model", "tools", "purpose"), as_json=as_json, nothing=nothing)


@agents.command(help=f"One agent with its instructions.\n\n{options.fields(SHOWN)}")
@click.argument("name")
@options.org
@options.as_json
def show(name: str, org: str, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Agent | None:
        from fleetprompt.runtime.agents.manage import find_agent

        return await find_agent(session, name)

    output.show_one(output.pick(in_tenant(org, act), SHOWN), as_json=as_json)


@agents.command(
    "set",
    help=f"""Change what is given, leave the rest. KEY= removes a limit or a policy.

{options.fields(SHOWN)}""",
)
@click.argument("name")
@options.org
@_settings
@options.as_json
def set_(name: str, org: str, as_json: bool, **given: Any) -> None:
    async def act(house: House, session: TenantSession) -> Agent:
        from fleetprompt.runtime.agents.manage import find_agent, set_agent

        before = await find_agent(session, name)
        assert before is not None
        values = _values(given, before.limits, before.policies)
        _check_model(house, values)
        return await set_agent(session, house.registry, name, operator(), values)

    changed = in_tenant(org, act)
    if as_json:
        output.show_json([output.pick(changed, SHOWN)])
    else:
        output.say(f"Agent {changed.name} is changed.")


def _values(given: dict[str, Any], limits: dict[str, Any], policies: dict[str, Any]) -> dict[str, Any]:
    """The columns that change; limits and policies are merged into what is there."""
    values: dict[str, Any] = {
        key: given[key] for key in ("purpose", "instructions") if given[key] is not None
    }
    if given["model"] is not None:
        values["model"] = given["model"].strip() or None
    if given["tools"] or given["no_tools"]:
        values["tools"] = [] if given["no_tools"] else list(dict.fromkeys(given["tools"]))
    for key, before in (("limits", limits), ("policies", policies)):
        if given[key]:
            values[key] = options.merged(before, given[key])
    return values


def _check_model(house: House, values: dict[str, Any]) -> None:
    if values.get("model"):
        house.services.models.check(values["model"])


def _set_state(verb: str, about: str) -> None:
    @agents.command(verb, help=about)
    @click.argument("name")
    @options.org
    def change(name: str, org: str) -> None:
        async def act(house: House, session: TenantSession) -> Agent:
            from fleetprompt.model.states import AgentState
            from fleetprompt.runtime.agents.manage import set_agent_state

            state = AgentState(STATES[verb])
            return await set_agent_state(session, house.registry, name, operator(), state)

        changed = in_tenant(org, act)
        output.say(f"Agent {changed.name} is {changed.state}.")


_set_state("pause", "Have it answer only that it is paused.")
_set_state("resume", "Have it answer again.")
_set_state("archive", "Retire it for good; its runs stay on record.")
