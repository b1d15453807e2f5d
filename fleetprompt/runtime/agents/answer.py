"""What wakes an agent: the handler of `chat.message.received`.

Wakes: a message that is addressed to us by the wire's own grammar; with `follow_threads` (the agent's policy, else the
installation's setting) also a person's reply in a thread that the agent takes part in. Bots and webhooks wake
nothing, unless the installation allows them, and then for `max_automated_turns` answers at most until a person
speaks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from fleetprompt.database.driver import Sql
from fleetprompt.kernel import clock
from fleetprompt.model import Agent, Conversation, Execution, Installation, Message, Signal
from fleetprompt.model.states import IN_FORCE, AgentState
from fleetprompt.runtime.agents.choose import choose
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.agents.manage import list_agents
from fleetprompt.runtime.agents.policies import read_policies
from fleetprompt.runtime.agents.provider import provider_of
from fleetprompt.runtime.executions.end import say
from fleetprompt.runtime.executions.start import NewExecution, start
from fleetprompt.runtime.jobs.follow import keep
from fleetprompt.runtime.registry import Handler, Registry, Speech
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.runtime.tools.standing import member_of_account
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.limits import own_limits
from fleetprompt.tenancy.rows import adopt_each, columns, refresh

# Where it was said, and whether it was given to a run already: then nothing may come of it that did not then.
_PLACE = Sql(
    f"select {columns(Conversation, 'c')}, {columns(Installation, 'i')},"  # noqa: S608 - names of the model
    " exists (select from executions where idempotency_key = :key)"
    " from conversations c join installations i on i.id = :installation_id where c.id = :conversation_id"
)
_RECENT = Sql(
    "select (select count(*) from executions"
    " where agent_id = :agent_id and input ->> 'person_id' = :person and created_at > :since),"
    " (select count(*) from executions where created_at > :since)"
)
_JOIN = Sql("update conversations set agent_id = :agent_id where id = :id")
MAX_AUTOMATED_TURNS = 3
HOUR_MS = 3_600_000
NAME = "agents.answer"
NO_AGENT = "There is no agent here to answer. An administrator can make one: `fleetprompt agent create`."
WHOM = "There are several agents here; please say whom you mean, right after the mention: {names}."
PAUSED = "{name} is paused at the moment; an administrator can resume it."
NOT_YOU = (
    "{name} answers certain members of your organization alone, and I do not know you as one of them. If you are one,"
    " link this account: `link CODE`, with a code from FleetPrompt's own page."
)
ALL_TOO_MANY = "Your organization has used up its requests of this hour; please try again later."
TOO_MANY = "You have asked {name} very often within an hour; please try again later."


def register(registry: Registry) -> None:
    """Called once by the runtime's own registration, after the signals of chat are catalogued."""
    registry.add_signal(
        "agent.loop.stopped", "Bots were answering each other; we stopped.", retention="lifecycle"
    )

    async def answer(session: TenantSession, signal: Signal) -> None:
        await wake(session, registry, signal)

    registry.on("chat.message.received", Handler(NAME, answer, may_wake))


def may_wake(payload: Mapping[str, Any]) -> bool:
    """Whether a message can concern an agent at all; judged before a job is spent on it."""
    author = payload["author"]["kind"]
    if author == "person":
        return bool(payload["addressed"]) or bool(payload["place"]["thread_id"])
    return author in ("bot", "webhook") and bool(payload["allowed_automation"]) and bool(payload["addressed"])


@dataclass(frozen=True, slots=True)
class Scene:
    """A message, and who could answer it where."""

    signal: Signal
    conversation: Conversation
    installation: Installation
    agent: Agent | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The sentence for a person who cannot be served now. once: it is said once for each of these; "" = each time."""

    text: str
    once: str = ""


async def wake(session: TenantSession, registry: Registry, signal: Signal) -> None:
    """Start the run that a message asks for, if it asks for one; a repeat finds it started."""
    place = {"conversation_id": signal.conversation_id, "installation_id": signal.installation_id}
    found = await session.fetch(_PLACE, {**place, "key": _key(signal)})
    if not found:
        return
    conversation, installation = adopt_each(session, tuple(found[0])[:-1], Conversation, Installation)
    is_known = found[0][-1]
    keep(session, conversation, installation)
    if is_known or installation.state not in IN_FORCE:
        return
    if registry.commands is not None and await registry.commands(session, signal, conversation, installation):
        return
    agents = await list_agents(session)
    agent, request = choose(
        agents,
        conversation,
        installation.config,
        signal.payload["request"],
        may_name=not _is_third_party(signal),
    )
    scene = Scene(signal, conversation, installation, agent)
    if not await _is_meant(session, registry, scene):
        return
    refusal = Refusal(_nobody(agents)) if agent is None else await _refusal(session, registry, signal, agent)
    if agent is None or refusal is not None:
        await _notice(session, registry, signal, conversation, refusal or Refusal(NO_AGENT))
        return
    await _join(session, conversation, agent)
    await start(session, registry, _execution(signal, agent, request))


def _key(signal: Signal) -> str:
    return f"signal:{signal.id}"


async def _is_meant(session: TenantSession, registry: Registry, scene: Scene) -> bool:
    payload, agent, config = scene.signal.payload, scene.agent, scene.installation.config
    if payload["author"]["kind"] != "person":
        return not await _loops(session, registry, scene)
    if payload["addressed"]:
        return True
    if agent is None or scene.conversation.agent_id != agent.id:
        return False
    own = read_policies(agent.policies).follow_threads
    return bool(config.get("follow_threads", False)) if own is None else own


async def _loops(session: TenantSession, registry: Registry, scene: Scene) -> bool:
    """Whether we have answered machines often enough since a person last wrote in this thread."""
    allowed = int(scene.installation.config.get("max_automated_turns", MAX_AUTOMATED_TURNS))
    if await _automated_turns(session, scene.conversation) < allowed:
        return False
    signal = scene.signal
    stopped = NewSignal(
        "agent.loop.stopped",
        {"conversation_id": str(scene.conversation.id), "author": signal.payload["author"]},
        SYSTEM,
        dedupe_key=f"agent.loop.stopped:{signal.id}",
        correlation_id=signal.correlation_id,
    )
    await emit(session, registry, stopped)
    return True


async def _automated_turns(session: TenantSession, conversation: Conversation) -> int:
    """Runs that machines asked for, answered yet or not: messages that come at once must not all slip through."""
    spoke = select(func.coalesce(func.max(Message.sent_at_ms), -1)).where(
        Message.conversation_id == conversation.id, Message.author_kind == "person"
    )
    turns = select(func.count()).where(
        Execution.conversation_id == conversation.id,
        Execution.input["author_kind"].astext != "person",
        Execution.position >= spoke.scalar_subquery(),
    )
    return int(await session.scalar(turns) or 0)


def _nobody(agents: Sequence[Agent]) -> str:
    names = ", ".join(f"`{agent.name}`" for agent in agents)
    return WHOM.format(names=names) if agents else NO_AGENT


async def _refusal(
    session: TenantSession, registry: Registry, signal: Signal, agent: Agent
) -> Refusal | None:
    provider = await provider_of(session, agent)
    if agent.state != AgentState.ACTIVE or (provider is not None and provider.problem is not None):
        return Refusal(PAUSED.format(name=agent.name))
    if not await _may_ask(session, registry, signal, agent):
        return Refusal(NOT_YOU.format(name=agent.name))
    limits = Limits.stored(agent.limits)
    person = signal.payload["author"]["id"]
    recent = {"agent_id": agent.id, "person": person, "since": clock.now() - timedelta(hours=1)}
    [(own, all_runs)] = await session.fetch(_RECENT, recent)
    if own >= limits.runs_per_person_per_hour:
        hour = int(signal.payload["sent_at_ms"]) // HOUR_MS
        return Refusal(TOO_MANY.format(name=agent.name), f"limited:{agent.id}:{person}:{hour}")
    if all_runs >= (await own_limits(session)).runs_per_hour:
        hour = int(signal.payload["sent_at_ms"]) // HOUR_MS
        return Refusal(ALL_TOO_MANY, f"limited:{signal.conversation_id}:{hour}")
    return None


async def _may_ask(session: TenantSession, registry: Registry, signal: Signal, agent: Agent) -> bool:
    """Whether the agent's policy lets whoever wrote have it answer: by their linked user's role alone."""
    role, author = read_policies(agent.policies).asker, signal.payload["author"]
    if role is None:
        return True
    if author["kind"] != "person":
        return False
    member = await member_of_account(session, registry, signal.installation_id, author["id"])
    return member is not None and member.role >= role


async def _join(session: TenantSession, conversation: Conversation, agent: Agent) -> None:
    if conversation.agent_id != agent.id:
        await session.fetch(_JOIN, {"id": conversation.id, "agent_id": agent.id})
        refresh(conversation, [("agent_id", agent.id)])


def _execution(signal: Signal, agent: Agent, request: str) -> NewExecution:
    payload = signal.payload
    return NewExecution(
        agent,
        _key(signal),
        {
            "text": request,
            "author_kind": payload["author"]["kind"],
            "person_id": payload["author"]["id"],
            "person_name": payload["author"]["name"],
            "external_id": payload["external_id"],
            "sent_at_ms": payload["sent_at_ms"],
            "subject": payload.get("subject", ""),
        },
        signal.correlation_id,
        Actor(signal.actor_kind, signal.actor_id, signal.actor_name),
        signal_id=signal.id,
        conversation_id=signal.conversation_id,
        installation_id=signal.installation_id,
        lane=payload.get("lane"),
        position=payload.get("position", 0),
        tainted=payload["author"]["kind"] != "person" or _is_third_party(signal),
    )


def _is_third_party(signal: Signal) -> bool:
    """Whether whoever wrote is no member of the team: such text is data, and chooses no agent."""
    return bool(signal.payload.get("third_party", False))


async def _notice(
    session: TenantSession, registry: Registry, signal: Signal, conversation: Conversation, refusal: Refusal
) -> None:
    """Tell a person. Never a machine: two of them would tell each other for ever, since no run counts it."""
    if signal.payload["author"]["kind"] != "person":
        return
    await say(
        session,
        registry,
        conversation,
        refusal.text,
        key=refusal.once or f"signal:{signal.id}:notice",
        actor=Actor("system", "fleetprompt", "FleetPrompt"),
        summary="A person is told why nobody answers.",
        speech=Speech.NOTICE,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
        lane=signal.payload.get("lane"),
        position=signal.payload.get("position", 0),
    )
