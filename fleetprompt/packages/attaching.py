"""Skills of the catalogue, taught to agents by hand: a directive each time, so that it is known who did it.

What is taught is the signed text of a version. A skill of a package that is installed here bears its installation: it
follows the package's upgrades and goes with it. Tools that a skill speaks of are given apart, since they need a grant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from fleetprompt.accounts import NotAllowed, Role
from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound
from fleetprompt.kernel.ids import DirectiveId, TenantSlug
from fleetprompt.model import Agent, Directive
from fleetprompt.model.states import AgentState, InstallationState
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.published import find_version
from fleetprompt.packages.skills import find_skill
from fleetprompt.runtime.agents.manage import find_agent
from fleetprompt.runtime.directives import (
    Absent,
    Delivered,
    DirectiveType,
    EffectTry,
    NewDirective,
    Outcome,
    Refused,
    request,
)
from fleetprompt.runtime.moves import id_text
from fleetprompt.runtime.people import require_right
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

ATTACH: Final = "skill.attach"
DETACH: Final = "skill.detach"


class SkillArguments(BaseModel):
    """Which skill of which version, and whose it becomes or stays no longer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent_id: UUID
    agent: str
    package: str
    version: str
    skill: str


@dataclass(frozen=True, slots=True)
class SkillEffector:
    """Teaches an agent, or has it forget. Done again, it changes nothing."""

    house: House
    attaches: bool

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """A single effect; its actor goes along for the signal."""
        actor = {"kind": directive.actor_kind, "id": directive.actor_id, "name": directive.actor_name}
        return [{**directive.arguments, "actor": actor}]

    async def perform(self, effect: EffectTry) -> Outcome:
        """All in one transaction."""
        asked = effect.request
        try:
            taught = await self._taught(asked) if self.attaches else None
            async with self.house.tenancy.session(effect.tenant) as session:
                changed = await self._change(session, asked, taught)
        except FleetPromptError as error:
            return Refused(error.code, str(error))
        return Delivered({"agent": asked["agent"], "skill": asked["skill"], "changed": changed})

    async def look_up(self, effect: EffectTry) -> Absent:
        """Doing it again finds what is done."""
        return Absent()

    async def _taught(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The skill as it was signed."""
        found = await find_version(self.house.tenancy.database, asked["package"], asked["version"])
        for skill in found.verified().provides.skills:
            if skill.name == asked["skill"]:
                source = {"package": asked["package"], "version": asked["version"]}
                return {**skill.model_dump(mode="json"), **source}
        raise NotFound(f"{found.label} has no skill {asked['skill']!r}.", "See: fleetprompt skills list")

    async def _change(
        self, session: TenantSession, asked: Mapping[str, Any], taught: dict[str, Any] | None
    ) -> bool:
        held = select(Agent).where(Agent.id == UUID(asked["agent_id"]), Agent.state != AgentState.ARCHIVED)
        agent = await session.scalar(held.with_for_update())
        if agent is None:
            raise NotFound(f"There is no agent {asked['agent']!r} any more.", "See: fleetprompt agent list")
        others = [one for one in agent.skills if not _is(one, asked)]
        skills = others if taught is None else [*others, await _of_installation(session, taught)]
        if skills == agent.skills:
            return False
        agent.skills, agent.updated_at = skills, func.now()
        await session.flush()
        told = {"agent_id": str(agent.id), "agent": agent.name, "fields": ["skills"]}
        signal = NewSignal("agent.configured", told, Actor(**asked["actor"]))
        await emit(session, self.house.registry, signal)
        return True


async def attach(house: House, tenant: TenantSlug, skill: str, agent: str, *, actor: Actor) -> DirectiveId:
    """Ask for it: `name`, or `package/name`. Raises NotFound, Conflict (taught already), NotAllowed."""
    offered = await find_skill(house.tenancy.database, skill)
    async with house.tenancy.session(tenant) as session:
        whom = await _agent(session, agent, actor)
        asked = {"package": offered.package, "version": offered.version, "skill": offered.skill.name}
        if any(_is(one, asked) and one["version"] == offered.version for one in whom.skills):
            raise Conflict(
                f"{whom.name} has the skill {offered.skill.name} already.", "Nothing is to be done."
            )
        return await _request(house, session, ATTACH, whom, asked, actor)


async def detach(house: House, tenant: TenantSlug, skill: str, agent: str, *, actor: Actor) -> DirectiveId:
    """Ask to have a skill forgotten. Raises NotFound, NotAllowed, or InvalidInput for what its own package taught it."""
    package, _, name = skill.rpartition("/")
    async with house.tenancy.session(tenant) as session:
        whom = await _agent(session, agent, actor)
        has = [one for one in whom.skills if one["name"] == name and package in ("", one["package"])]
        if not has:
            raise NotFound(
                f"{whom.name} has no skill {skill[:80]!r}.",
                nearest(name, [one["name"] for one in whom.skills]),
            )
        own = id_text(whom.installation_id)
        if own is not None and has[0].get("installation_id") == own:
            raise InvalidInput(
                f"{whom.name} has it from its own package, which would teach it again.",
                f"Uninstall {has[0]['package']}, or make an agent of your own.",
            )
        asked = {"package": has[0]["package"], "version": has[0]["version"], "skill": name}
        return await _request(house, session, DETACH, whom, asked, actor)


def register_skills(house: House) -> None:
    """Called once, with the packages."""
    for name, about, attaches in (
        (ATTACH, "Teach an agent a skill.", True),
        (DETACH, "Have an agent forget a skill.", False),
    ):
        effector = SkillEffector(house, attaches)
        house.registry.add_directive(DirectiveType(name, about, SkillArguments, effector, max_failures=2))
    house.registry.rechecks.append(_recheck_right)


async def _recheck_right(session: TenantSession, directive: Directive) -> str | None:
    """Whoever asked must still be an admin when it is done."""
    if directive.name not in (ATTACH, DETACH):
        return None
    try:
        await require_right(session, Actor(directive.actor_kind, directive.actor_id), Role.ADMIN)
    except NotAllowed as error:
        return f"{error.what} An admin of the organization may ask for it."
    return None


async def _agent(session: TenantSession, name: str, actor: Actor) -> Agent:
    await require_right(session, actor, Role.ADMIN)
    found = await find_agent(session, name)
    assert found is not None
    return found


async def _request(
    house: House,
    session: TenantSession,
    verb: str,
    agent: Agent,
    asked: Mapping[str, str],
    actor: Actor,
) -> DirectiveId:
    """Once for one state of the agent."""
    key = f"{verb}:{agent.id}:{asked['package']}/{asked['skill']}@{asked['version']}:{agent.updated_at.isoformat()}"
    summary = f"{'Teach' if verb == ATTACH else 'Take from'} {agent.name} the skill {asked['skill']}."
    arguments = {"agent_id": str(agent.id), "agent": agent.name, **asked}
    requested = await request(
        session, house.registry, NewDirective(verb, key, arguments, summary, actor, lane=f"agent:{agent.id}")
    )
    return requested.id


def _is(skill: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return (skill["package"], skill["name"]) == (asked["package"], asked["skill"])


async def _of_installation(session: TenantSession, taught: Mapping[str, Any]) -> dict[str, Any]:
    """With the installation of its package and version here, if there is one."""
    here = [
        one
        for one in await live_installations(session, taught["package"])
        if one.version == taught["version"] and one.state != InstallationState.UNINSTALLING
    ]
    return {**taught, "installation_id": str(here[0].id) if here else None}
