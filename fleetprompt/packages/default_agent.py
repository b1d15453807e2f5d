"""Somebody has to answer: a tenant without any agent gets one with its first installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetprompt.runtime.agents.manage import create_agent, list_agents
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.tools import SideEffect
from fleetprompt.tenancy import TenantSession

NAME: Final = "fleet"
PURPOSE: Final = "Answers the team's questions in its channels."
INSTRUCTIONS: Final = (
    "You answer in a team's chat. Be brief and exact. Use the tools for facts; never invent an order, a number or"
    " a name. If you do not know, say so. If a request is not clear, ask one question."
)


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers; is_new: made just now."""

    name: str | None
    is_new: bool


async def ensure_agent(
    session: TenantSession, registry: Registry, config: Mapping[str, Any], by: Actor
) -> Answering:
    """The installation's agent: the configured one, else the only one, else a new one that may read and change nothing."""
    agents = await list_agents(session)
    wished = str(config.get("agent") or "")
    if agents:
        known = {agent.name.casefold(): agent.name for agent in agents}
        only = agents[0].name if len(agents) == 1 else None
        return Answering(known.get(wished.casefold(), only), is_new=False)
    readers = sorted(name for name, tool in registry.tools.items() if tool.side_effect is SideEffect.NONE)
    agent = await create_agent(
        session,
        registry,
        wished or NAME,
        by,
        purpose=PURPOSE,
        instructions=INSTRUCTIONS,
        tools=readers,
    )
    return Answering(agent.name, is_new=True)
