"""The gate: whether a call that a model asks for may happen, and whether a person has to agree first.

Deterministic, and blind to the model's reasons. In this order: the agent's tools (and the tool's own arguments), the
scopes that were granted, the organization's quota, the right of whoever asks; then policy and taint. Text that a third party wrote can make the model ask; it can never make the gate say yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from fleetprompt.accounts import Role
from fleetprompt.model import Agent
from fleetprompt.runtime.agents.policies import read_policies
from fleetprompt.runtime.llm.types import ToolCall
from fleetprompt.runtime.tools.standing import Standing, required_role
from fleetprompt.runtime.tools.tool import SideEffect, Tool

AT_LEAST: Final = {
    Role.MEMBER: "members of the organization",
    Role.ADMIN: "its admins and owners",
    Role.OWNER: "its owners",
}
READ: Final = "The agent has read text that other people can write."


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may happen, with these validated arguments."""

    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Denied:
    """It may not. reason: told to the model, so that it can correct itself."""

    reason: str


def admit(agent: Agent, tools: Mapping[str, Tool], call: ToolCall, standing: Standing) -> Allowed | Denied:
    """Whether this agent has this tool, these are arguments for it, and nothing of the rest forbids it."""
    tool = tools.get(call.name) if call.name in agent.tools else None
    if tool is None:
        offered = ", ".join(name for name in agent.tools if name in tools) or "none"
        return Denied(f"There is no tool {call.name[:100]!r} here. Tools: {offered}.")
    if call.arguments is None:
        return Denied("The arguments are not a JSON object. Call the tool again with valid JSON.")
    try:
        arguments = tool.arguments.model_validate(call.arguments)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, f['loc'])) or 'arguments'}: {f['msg']}" for f in error.errors()
        )
        return Denied(f"These arguments do not fit {tool.name}: {faults[:1000]}.")
    reason = forbidden(agent, tool, standing)
    return Denied(reason) if reason is not None else Allowed(tool, arguments.model_dump(mode="json"))


def forbidden(agent: Agent, tool: Tool, standing: Standing) -> str | None:
    """Why a call of a tool that the agent has may not happen: by scope, by quota, by who asks. None if it may."""
    if not standing.grants(tool.scope):
        return _ungranted(agent, tool, standing)
    if standing.calls_left is not None and standing.calls_left <= 0:
        return "The organization has used up its tool calls of this hour; try again later."
    role = required_role(agent, tool)
    if role is not None and (standing.asking is None or standing.asking.role < role):
        who = "nobody's linked account" if standing.asking is None else f"of a {standing.asking.role}"
        return f"{tool.name} is done for {AT_LEAST[role]} alone, and this request is {who}."
    return None


def _ungranted(agent: Agent, tool: Tool, standing: Standing) -> str:
    needs = f"{tool.name} needs the scope {tool.scope}, which is not granted"
    provider = standing.provider
    if provider is None or tool.name not in (agent.provisioned or {}).get("tools", ()):
        return f"{needs} to {agent.name}. An administrator grants it: fleetprompt agent set, with --tool."
    if provider.problem is not None:
        return f"{needs} now: {provider.problem}."
    how = f"fleetprompt package configure {provider.package} --grant {tool.scope}"
    return f"{needs} to {provider.package}. An administrator grants it: {how}"


def approval_reason(agent: Agent, tool: Tool, *, tainted: bool, doubt: str | None = None) -> str | None:
    """Why a person has to agree before this side effect; None if none has to.

    The agent's policy says `ask` or `auto` for a tool or for "*"; without one, what cannot be undone is asked for.
    After third-party text was read, everything with a side effect is asked for, whatever the policy says; and so it is
    where something speaks against the sender (doubt), which whoever decides has to see. No proof of a sender spares it.
    """
    assert tool.side_effect is not SideEffect.NONE
    if doubt is not None:
        return f"{doubt} {READ}" if tainted else doubt
    if tainted:
        return READ
    wish = read_policies(agent.policies).approval_of(tool.name)
    if wish == "ask":
        return "The agent's policy asks for approval."
    if wish is None and tool.side_effect is SideEffect.IRREVERSIBLE:
        return "This cannot be undone."
    return None
