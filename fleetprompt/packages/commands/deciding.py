"""A person decides at once: about something that waits for approval, about every agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Agent, Directive, Signal
from fleetprompt.model.states import AgentState
from fleetprompt.packages.commands.context import Context
from fleetprompt.runtime.agents.manage import list_agents, set_agent_state
from fleetprompt.runtime.directives import decide
from fleetprompt.tenancy import TenantSession

NO_AGENT: Final = "There is no agent here."


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
    """Nobody answers any more; `off`: whom a person of a chat paused, and not the operator, answers again."""
    if context.command.word:
        return await _resume_all(context)
    async with context.session() as session:
        agents = await list_agents(session)
        for agent in agents:
            if agent.state == AgentState.PAUSED:
                continue  # whoever did that has the say
            await set_agent_state(
                session, context.house.registry, agent.name, context.actor, AgentState.PAUSED
            )
    return f"Paused: {_listed(agents)}. They go on after `pause-all off`." if agents else NO_AGENT


async def _resume_all(context: Context) -> str:
    async with context.session() as session:
        paused = [agent for agent in await list_agents(session) if agent.state == AgentState.PAUSED]
        ours = [agent for agent in paused if await _was_paused_in_chat(session, agent)]
        for agent in ours:
            await set_agent_state(
                session, context.house.registry, agent.name, context.actor, AgentState.ACTIVE
            )
    others = [agent for agent in paused if agent not in ours]
    said = [f"They go on: {_listed(ours)}."] if ours else ["Nobody was paused by `pause-all`."]
    if others:
        said.append(f"The operator paused {_listed(others)}, and may resume them on the host.")
    return " ".join(said)


async def _was_paused_in_chat(session: TenantSession, agent: Agent) -> bool:
    query = (
        select(Signal.actor_id)
        .where(Signal.name == "agent.paused", Signal.payload["agent_id"].astext == str(agent.id))
        .order_by(Signal.id.desc())
        .limit(1)
    )
    return str(await session.scalar(query)).startswith("user:")


def _listed(agents: Sequence[Agent]) -> str:
    return ", ".join(f"`{agent.name}`" for agent in agents)


def _id(context: Context) -> DirectiveId:
    return DirectiveId(UUID(context.command.word))
