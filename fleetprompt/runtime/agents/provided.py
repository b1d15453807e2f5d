"""Agents that a package provides: made, brought up to date without undoing what a person changed, and retired."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, exists, func, null, select, update

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Agent, Conversation, Execution
from fleetprompt.model.states import AgentState, ExecutionState
from fleetprompt.runtime.agents.manage import check_values, create_agent
from fleetprompt.runtime.executions.manage import cancel_execution
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

FIELDS: Final = ("name", "purpose", "instructions", "tools", "limits", "policies")
OPEN: Final = (ExecutionState.QUEUED, ExecutionState.RUNNING, ExecutionState.WAITING)


@dataclass(frozen=True, slots=True)
class AgentTemplate:
    """An agent as its package wants it. key: what the package calls it, whatever its name here becomes.

    tools may name some that this program lacks: they come into use when it has them. skills: as `Agent.skills`.
    """

    key: str
    name: str
    purpose: str
    instructions: str
    tools: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=dict)
    skills: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a template. done: made, changed, unchanged, or left (a person retired it). kept: fields of a person's."""

    agent: Agent
    done: str
    kept: tuple[str, ...] = ()


async def agents_of(session: TenantSession, installation_id: UUID) -> Sequence[Agent]:
    """Those that an installation provides, held, by the key of their template."""
    query = select(Agent).where(Agent.installation_id == installation_id).with_for_update()
    found = await session.scalars(query.execution_options(populate_existing=True))
    return sorted(found, key=key_of)


def key_of(agent: Agent) -> str:
    """What its package calls it."""
    return str((agent.provisioned or {}).get("key", ""))


def changed_fields(agent: Agent) -> list[str]:
    """What a person changed since the package made it so."""
    made = agent.provisioned or {}
    return [name for name in FIELDS if name in made and getattr(agent, name) != made[name]]


async def make(
    session: TenantSession, registry: Registry, template: AgentTemplate, installation_id: UUID, by: Actor
) -> Change:
    """A new agent of an installation. Raises Conflict if the name is taken, InvalidInput for values that cannot be."""
    wanted = _wanted(registry, template)
    values = {name: wanted[name] for name in FIELDS if name not in ("name", "tools")}
    agent = await create_agent(session, registry, template.name, by, **values)
    agent.tools, agent.skills = wanted["tools"], [dict(skill) for skill in template.skills]
    agent.installation_id, agent.provisioned = installation_id, wanted
    await session.flush()
    return Change(agent, "made")


async def bring_up_to_date(
    session: TenantSession, registry: Registry, agent: Agent, template: AgentTemplate, by: Actor
) -> Change:
    """What the package now wants otherwise than before, where a person has not decided otherwise."""
    if agent.state == AgentState.ARCHIVED:
        return Change(agent, "left")
    before, wanted = agent.provisioned or {}, _wanted(registry, template)
    new = [name for name in FIELDS if wanted[name] != before.get(name)]
    kept = [name for name in new if getattr(agent, name) not in (before.get(name), wanted[name])]
    for name in new:
        if name not in kept:
            setattr(agent, name, wanted[name])
    skills = _merged(agent, template)
    changed = [*(name for name in new if name not in kept), *(["skills"] if skills != agent.skills else [])]
    agent.provisioned, agent.skills = wanted, skills
    if changed:
        agent.updated_at = func.now()
        await session.flush()
        await session.refresh(agent)
        await _tell(session, registry, agent, "agent.configured", by, changed)
    return Change(agent, "changed" if changed else "unchanged", tuple(kept))


async def retire(session: TenantSession, registry: Registry, agent: Agent, by: Actor) -> None:
    """Its runs end. It goes altogether, or stays archived and nobody's while runs of it are on record."""
    open_ = select(Execution.id).where(Execution.agent_id == agent.id, Execution.state.in_(OPEN))
    for execution_id in (await session.scalars(open_.order_by(Execution.id))).all():
        with contextlib.suppress(Conflict):  # it has ended meanwhile
            await cancel_execution(session, registry, ExecutionId(execution_id), by)
    joined = update(Conversation).where(Conversation.agent_id == agent.id).values(agent_id=None)
    await session.execute(joined.execution_options(synchronize_session=False))
    if agent.state != AgentState.ARCHIVED:
        nobodys = {"installation_id": null(), "provisioned": null(), "updated_at": func.now()}
        agent_ = agent
        await move(session, agent_, AgentState.ARCHIVED, **nobodys)
        await _tell(session, registry, agent, "agent.archived", by, [])
    else:
        freed = update(Agent).where(Agent.id == agent.id).values(installation_id=null(), provisioned=null())
        await session.execute(freed.execution_options(synchronize_session=False))
    unused = delete(Agent).where(Agent.id == agent.id, ~exists().where(Execution.agent_id == agent.id))
    await session.execute(unused.execution_options(synchronize_session=False))
    session.expunge(agent)


def _wanted(registry: Registry, template: AgentTemplate) -> dict[str, Any]:
    """As `Agent.provisioned`: the checked values of FIELDS, and the key."""
    known = {name: list(value) if name == "tools" else value for name, value in asdict(template).items()}
    given = {name: known[name] for name in FIELDS if name not in ("name", "tools")}
    checked = check_values(registry, given)
    return {"key": template.key, "name": template.name, "tools": known["tools"], **checked}


def _merged(agent: Agent, template: AgentTemplate) -> list[dict[str, Any]]:
    """The package's skills, then those that a person attached."""
    own = [dict(skill) for skill in template.skills]
    id_ = str(agent.installation_id)
    return [*own, *(skill for skill in agent.skills if skill.get("installation_id") != id_)]


async def _tell(
    session: TenantSession, registry: Registry, agent: Agent, name: str, by: Actor, fields: Sequence[str]
) -> None:
    payload = {"agent_id": str(agent.id), "agent": agent.name, "fields": list(fields)}
    await emit(session, registry, NewSignal(name, payload, by))


async def refresh_skills(
    session: TenantSession, installation_id: UUID, skills: Sequence[Mapping[str, Any]]
) -> None:
    """What a person taught other agents of an installation's skills becomes what they are now."""
    now = {str(skill["name"]): dict(skill) for skill in skills}
    mark = [{"installation_id": str(installation_id)}]
    others = select(Agent).where(
        Agent.skills.contains(mark), Agent.installation_id.is_distinct_from(installation_id)
    )
    for agent in await session.scalars(others.with_for_update().execution_options(populate_existing=True)):
        ours = [one for one in agent.skills if one.get("installation_id") == str(installation_id)]
        kept = [one for one in agent.skills if one not in ours]
        agent.skills = [*kept, *(now[one["name"]] for one in ours if one["name"] in now)]
    await session.flush()


async def forget_skills(session: TenantSession, installation_id: UUID) -> None:
    """Take an installation's skills from agents that a person taught them."""
    mark = [{"installation_id": str(installation_id)}]
    query = select(Agent).where(Agent.skills.contains(mark)).with_for_update()
    for agent in await session.scalars(query.execution_options(populate_existing=True)):
        agent.skills = [one for one in agent.skills if one.get("installation_id") != str(installation_id)]
    await session.flush()
