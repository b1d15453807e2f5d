"""Making and changing agents: what the command line, and later a chat command, calls."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import func

from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.kernel.ids import AgentId, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.model import Agent
from fleetprompt.model.states import AgentState
from fleetprompt.runtime.agents.limits import Limits
from fleetprompt.runtime.agents.policies import Policies
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import Rows

_ALIVE = Rows(Agent, "select {columns} from agents where state <> 'archived' order by lower(name)")
SETTABLE = ("purpose", "instructions", "tools", "model", "limits", "policies")


async def create_agent(
    session: TenantSession, registry: Registry, name: str, by: Actor, **values: Any
) -> Agent:
    """Make an active agent. Raises Conflict if the name is taken, InvalidInput for values that cannot be."""
    checked_name(name, "An agent's name")
    if await find_agent(session, name, missing_ok=True) is not None:
        raise Conflict(
            f"There is an agent {name!r} already.", "Choose another name, or: fleetprompt agent set."
        )
    defaults: dict[str, Any] = {"purpose": "", "instructions": "", "tools": [], "limits": {}, "policies": {}}
    checked = check_values(registry, {**defaults, **values})
    agent = Agent(id=AgentId(new_id()), name=name, state=AgentState.ACTIVE, **{"model": None, **checked})
    agent.scopes = _granted(registry, agent)
    session.add(agent)
    await session.flush()
    await _tell(session, registry, agent, "agent.created", by, sorted(values))
    return agent


async def set_agent(
    session: TenantSession, registry: Registry, name: str, by: Actor, values: Mapping[str, Any]
) -> Agent:
    """Change some of purpose, instructions, tools, model, limits and policies."""
    agent = await _require(session, name)
    for field, value in check_values(registry, values).items():
        setattr(agent, field, value)
    if "tools" in values:
        agent.scopes = _granted(registry, agent)
    agent.updated_at = func.now()
    await session.flush()
    await session.refresh(agent)
    await _tell(session, registry, agent, "agent.configured", by, sorted(values))
    return agent


def _granted(registry: Registry, agent: Agent) -> list[str]:
    """Whoever gives an agent a tool grants it the scope; for what its package gave it, the package has to be granted."""
    provided = (agent.provisioned or {}).get("tools", ())
    return sorted({registry.tools[name].scope for name in agent.tools if name not in provided})


async def set_agent_state(
    session: TenantSession, registry: Registry, name: str, by: Actor, state: AgentState
) -> Agent:
    """Pause, resume or archive; what it is already, it stays. Who pauses a paused one is on record, too."""
    agent = await _require(session, name)
    if agent.state != state:
        await move(session, agent, state, updated_at=func.now())
    elif state != AgentState.PAUSED:
        return agent
    word = "resumed" if state == AgentState.ACTIVE else state.value
    await _tell(session, registry, agent, f"agent.{word}", by, [])
    return agent


async def list_agents(session: TenantSession) -> Sequence[Agent]:
    """All but the archived, by name."""
    return await _ALIVE.all(session, {})


async def find_agent(session: TenantSession, name: str, *, missing_ok: bool = False) -> Agent | None:
    """By name, whatever its case."""
    agents = {agent.name.casefold(): agent for agent in await list_agents(session)}
    if name.casefold() in agents or missing_ok:
        return agents.get(name.casefold())
    raise NotFound(f"There is no agent {name!r}.", _nearest(name, [agent.name for agent in agents.values()]))


def check_values(registry: Registry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Validated column values. Raises InvalidInput, naming what is wrong and what would do."""
    _require_known("setting", values, SETTABLE)
    _require_known("tool", values.get("tools", ()), registry.tools)
    _require_known("policy", values.get("policies", {}), Policies.model_fields)
    _require_known("limit", values.get("limits", {}), Limits.model_fields)
    checked = dict(values)
    for field, model in (("limits", Limits), ("policies", Policies)):
        if field in values:
            checked[field] = _checked(model, field, values[field])
    policies = checked.get("policies", {})
    named = [*policies.get("approval", {}), *policies.get("initiators", {})]
    _require_known("tool", [tool for tool in named if tool != "*"], registry.tools)
    return checked


def _checked(model: type[BaseModel], field: str, value: Any) -> dict[str, Any]:
    try:
        return model.model_validate(value).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or field
        raise InvalidInput(f"{place!r} of the agent's {field} cannot be set: {fault['msg']}.") from error


def _require_known(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    for word in given:
        if word not in known:
            raise InvalidInput(f"There is no {kind} {word!r}.", _nearest(word, known))


async def _require(session: TenantSession, name: str) -> Agent:
    agent = await find_agent(session, name)
    assert agent is not None
    return agent


async def _tell(
    session: TenantSession, registry: Registry, agent: Agent, name: str, by: Actor, fields: Sequence[str]
) -> None:
    payload = {"agent_id": str(agent.id), "agent": agent.name, "fields": list(fields)}
    await emit(session, registry, NewSignal(name, payload, by))


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.4)
    listed = close or sorted(known)
    return f"Did you mean: {', '.join(listed)}?" if listed else "There are none."
