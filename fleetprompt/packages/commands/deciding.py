"""A person decides at once: about something that waits for approval, about every agent."""

from __future__ import annotations

from uuid import UUID

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive
from fleetprompt.model.states import AgentState
from fleetprompt.packages.commands.context import Context
from fleetprompt.runtime.agents.manage import list_agents, set_agent_state
from fleetprompt.runtime.directives import decide


async def approve(context: Context) -> str:
    """Let it go ahead."""
    async with context.session() as session:
        known = await session.get(Directive, _id(context))
        by = f"{context.actor.kind}:{context.actor.id}"
        if known is not None and known.approved_by == by:  # said before, and not answered
            return f"Approved: {known.summary}"
        directive = await decide.approve(session, context.house.registry, _id(context), context.actor)
        return f"Approved: {directive.summary}"


async def reject(context: Context) -> str:
    """Refuse it for good."""
    async with context.session() as session:
        reason = context.command.rest
        directive = await decide.reject(session, context.house.registry, _id(context), context.actor, reason)
        return f"Rejected: {directive.summary}"


async def pause_all(context: Context) -> str:
    """Nobody answers any more, until an agent is resumed."""
    async with context.session() as session:
        agents = await list_agents(session)
        for agent in agents:
            await set_agent_state(
                session, context.house.registry, agent.name, context.actor, AgentState.PAUSED
            )
    if not agents:
        return "There is no agent here."
    listed = ", ".join(f"`{agent.name}`" for agent in agents)
    return f"Paused: {listed}. Resume each on the host: `fleetprompt agent resume NAME --org {context.asked.tenant}`"


def _id(context: Context) -> DirectiveId:
    return DirectiveId(UUID(context.command.word))
