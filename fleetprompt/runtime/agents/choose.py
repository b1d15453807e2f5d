"""Which agent is meant: named in the message, then the thread's own, then the channel's, then the installation's.

Else the only one there is, not counting those that packages brought: a package takes over no conversation unasked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleetprompt.model import Agent, Conversation
from fleetprompt.model.states import AgentState


def choose(
    agents: Sequence[Agent],
    conversation: Conversation,
    config: Mapping[str, Any],
    request: str,
    *,
    may_name: bool = True,
) -> tuple[Agent | None, str]:
    """The agent and the request without its name; None if the tenant has none that could be meant.

    config: the installation's, of which `channel_agents` ({channel name: agent name}) and `agent` are read.
    may_name: whether the request may name one.
    """
    present = [agent for agent in agents if agent.state != AgentState.ARCHIVED]
    named = named_in(present, request) if may_name else None
    if named is not None and len(present) > 1:
        return named, request[len(named.name) :].lstrip(" ,:-\n\t") or request
    by_name = {agent.name.casefold(): agent for agent in present}
    by_id = {agent.id: agent for agent in present}
    wished = (
        by_id.get(conversation.agent_id) if conversation.agent_id else None,
        by_name.get(str(config.get("channel_agents", {}).get(conversation.channel_name, "")).casefold()),
        by_name.get(str(config.get("agent") or "").casefold()),
        _only(present) or _only([agent for agent in present if agent.installation_id is None]),
    )
    return next((agent for agent in wished if agent is not None), None), request


def _only(agents: Sequence[Agent]) -> Agent | None:
    return agents[0] if len(agents) == 1 else None


def named_in(agents: Sequence[Agent], request: str) -> Agent | None:
    """The agent whose name begins the request, as a whole word; the longest of several."""
    folded = request.casefold()
    matches = [a for a in agents if folded.startswith(a.name.casefold()) and _ends_word(request, len(a.name))]
    return max(matches, key=lambda agent: len(agent.name), default=None)


def _ends_word(text: str, at: int) -> bool:
    return at == len(text) or not (text[at].isalnum() or text[at] in "-_")
