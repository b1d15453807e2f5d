"""The gate: whether a call that a model asks for may happen, and whether a person has to agree first.

Deterministic, and blind to the model's reasons: agent's tools, then the tool's own arguments, then policy and taint.
Text that a third party wrote can make the model ask; it can never make the gate say yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fleetprompt.model import Agent
from fleetprompt.runtime.agents.policies import read_policies
from fleetprompt.runtime.llm.types import ToolCall
from fleetprompt.runtime.tools.tool import SideEffect, Tool


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may happen, with these validated arguments."""

    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Denied:
    """It may not. reason: told to the model, so that it can correct itself."""

    reason: str


def admit(agent: Agent, tools: Mapping[str, Tool], call: ToolCall) -> Allowed | Denied:
    """Whether this agent has this tool, and whether these are arguments for it."""
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
    return Allowed(tool, arguments.model_dump(mode="json"))


def approval_reason(agent: Agent, tool: Tool, *, tainted: bool) -> str | None:
    """Why a person has to agree before this side effect; None if none has to.

    The agent's policy says `ask` or `auto` for a tool or for "*"; without one, what cannot be undone is asked for.
    After third-party text was read, everything with a side effect is asked for, whatever the policy says.
    """
    assert tool.side_effect is not SideEffect.NONE
    if tainted:
        return "The agent has read text that other people can write."
    wish = read_policies(agent.policies).approval_of(tool.name)
    if wish == "ask":
        return "The agent's policy asks for approval."
    if wish is None and tool.side_effect is SideEffect.IRREVERSIBLE:
        return "This cannot be undone."
    return None
