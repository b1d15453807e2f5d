"""Provisioning: an installation makes the agents, skills and workflows of its manifest, and takes exactly those back.

Each row bears its installation. Doing it again changes nothing; another version, or other settings, change what
differs; what a person changed stays as they left it. All of it belongs to the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID

from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.model import Agent, Installation
from fleetprompt.model.states import AgentState, WorkflowState
from fleetprompt.packages import grants
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.checks import find_conflicts
from fleetprompt.packages.templates import Wanted, here, taught, wanted
from fleetprompt.runtime.agents import provided
from fleetprompt.runtime.agents.manage import list_agents
from fleetprompt.runtime.agents.provided import AgentTemplate
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.workflows import provided as provided_workflows
from fleetprompt.runtime.workflows.check import check
from fleetprompt.runtime.workflows.manage import add_workflow, list_workflows
from fleetprompt.tenancy import TenantSession

faults.declare({"package.provisioned", "package.withdrawn"})


@dataclass(slots=True)
class Provisioned:
    """By what a person calls them. kept: what a person changed, and so stayed: `agent starter: instructions`.

    missing_tools: named by an agent, but not brought by this program.
    """

    agents: list[str] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    skills: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    missing_tools: list[str] = field(default_factory=list)

    def receipt(self) -> dict[str, list[str]]:
        """For a directive's result: what there is to say."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """changed: what went though a person had changed it. orphaned: what named it, and names nothing now."""

    removed: Sequence[str] = ()
    changed: Sequence[str] = ()
    orphaned: Sequence[str] = ()

    def receipt(self) -> dict[str, list[str]]:
        """For a directive's result: what there is to say."""
        return {name: list(value) for name, value in asdict(self).items() if value}


async def check_provision(
    session: TenantSession, registry: Registry, installation: Installation, manifest: Manifest
) -> Wanted:
    """What would be made. Changes nothing.

    Raises Conflict for a name that is taken, InvalidInput for a template that cannot work here.
    """
    _check_parts(manifest)
    want = wanted(manifest, here(installation))
    await _check_names(session, want, installation.id)
    _check_scopes(registry, want, manifest)
    for definition in want.workflows:
        check(registry, definition)
    return _with_approvals(registry, want, manifest)


async def provision(
    session: TenantSession, registry: Registry, installation: Installation, manifest: Manifest, actor: Actor
) -> Provisioned:
    """Make it so. Raises as `check_provision`."""
    want = await check_provision(session, registry, installation, manifest)
    done = Provisioned()
    await _provide_agents(session, registry, installation.id, want, actor, done)
    await _provide_workflows(session, registry, installation.id, want, actor, done)
    await _remove_agents(session, registry, installation.id, want, actor, done)
    await provided.refresh_skills(session, installation.id, taught(manifest, here(installation)))
    faults.reach("package.provisioned")
    return done


async def withdraw(
    session: TenantSession, registry: Registry, installation: Installation, actor: Actor
) -> Withdrawn:
    """Remove what it provided, and nothing that a person made. Afterwards no row of these bears its id."""
    removed, changed, orphaned = list[str](), list[str](), list[str]()
    for workflow in await provided_workflows.workflows_of(session, installation.id):
        removed.append(f"workflow {workflow.name}")
        await provided_workflows.retire(session, registry, workflow, actor)
    for agent in await provided.agents_of(session, installation.id):
        removed.append(f"agent {agent.name}")
        changed += [f"agent {agent.name}: {one}" for one in provided.changed_fields(agent)]
        orphaned += await _who_names(session, agent)
        await provided.retire(session, registry, agent, actor)
    await provided.forget_skills(session, installation.id)
    await grants.forget(session, installation.id)
    faults.reach("package.withdrawn")
    return Withdrawn(removed, changed, orphaned)


async def _provide_agents(
    session: TenantSession,
    registry: Registry,
    installation_id: UUID,
    want: Wanted,
    actor: Actor,
    done: Provisioned,
) -> None:
    known = {provided.key_of(agent): agent for agent in await provided.agents_of(session, installation_id)}
    for template in want.agents:
        present = known.get(template.key)
        if present is None:
            change = await provided.make(session, registry, template, installation_id, actor)
        else:
            change = await provided.bring_up_to_date(session, registry, present, template, actor)
        if change.done != "left":
            done.agents.append(change.agent.name)
            done.skills += [skill["name"] for skill in template.skills]
        done.kept += [f"agent {change.agent.name}: {one}" for one in change.kept]
        done.missing_tools += [tool for tool in template.tools if tool not in registry.tools]


async def _provide_workflows(
    session: TenantSession,
    registry: Registry,
    installation_id: UUID,
    want: Wanted,
    actor: Actor,
    done: Provisioned,
) -> None:
    """One that a person archived stays so."""
    names = {definition.name for definition in want.workflows}
    retired = set[str]()
    for workflow in await provided_workflows.workflows_of(session, installation_id):
        if workflow.state == WorkflowState.ARCHIVED:
            retired.add(workflow.name)
        elif workflow.name not in names:
            done.removed.append(f"workflow {workflow.name}")
            await provided_workflows.retire(session, registry, workflow, actor)
    for definition in want.workflows:
        if definition.name not in retired:
            await add_workflow(session, registry, definition, actor, installation_id=installation_id)
            done.workflows.append(definition.name)


async def _remove_agents(
    session: TenantSession,
    registry: Registry,
    installation_id: UUID,
    want: Wanted,
    actor: Actor,
    done: Provisioned,
) -> None:
    """Those of an older version; after the workflows that asked them."""
    keys = {template.key for template in want.agents}
    for agent in await provided.agents_of(session, installation_id):
        if provided.key_of(agent) not in keys:
            done.removed.append(f"agent {agent.name}")
            await provided.retire(session, registry, agent, actor)


async def _check_names(session: TenantSession, want: Wanted, installation_id: UUID) -> None:
    own = {provided.key_of(agent): agent for agent in await provided.agents_of(session, installation_id)}
    agents = {agent.name.casefold(): agent for agent in await list_agents(session)}
    for template in want.agents:
        present, ours = agents.get(template.name.casefold()), own.get(template.key)
        if present is not None and (ours is None or present.id != ours.id):
            raise Conflict(
                f"There is an agent {present.name!r} already, and this package makes one of that name.",
                "Give its agent another name by its settings (see package info), or this installation a --name.",
            )
    workflows = {one.name.casefold(): one for one in await list_workflows(session)}
    for definition in want.workflows:
        found = workflows.get(definition.name.casefold())
        if found is not None and found.installation_id != installation_id:
            raise Conflict(
                f"There is a workflow {found.name!r} already, and this package makes one of that name.",
                "Give this installation a --name, or archive that workflow first.",
            )


def _check_parts(manifest: Manifest) -> None:
    """As lint does: whoever published it may not have asked. A package reaches for nothing of anybody else's."""
    for _, problem, advice in find_conflicts(manifest):
        raise InvalidInput(f"{manifest.label} cannot be used: {problem}", advice)


def _check_scopes(registry: Registry, want: Wanted, manifest: Manifest) -> None:
    """A package may only make use of what it asks for."""
    asked = {permission.grant for permission in manifest.permissions}
    for template in want.agents:
        for name in template.tools:
            tool = registry.tools.get(name)
            if tool is not None and tool.scope not in asked:
                raise InvalidInput(
                    f"{manifest.label} gives its agent {name}, and does not ask for its scope {tool.scope}.",
                    "Tell the package's author; it cannot be installed like this.",
                )


def _with_approvals(registry: Registry, want: Wanted, manifest: Manifest) -> Wanted:
    """Where a scope's approval is `always`, its tools ask each time; a person may decide otherwise later."""
    always = {one.grant for one in manifest.permissions if one.approval == "always"}
    agents = list[AgentTemplate]()
    for template in want.agents:
        known = [registry.tools[name] for name in template.tools if name in registry.tools]
        asks = {tool.name: "ask" for tool in known if tool.scope in always and tool.directive is not None}
        given = dict(template.policies)
        merged = {**dict(given.get("approval") or {}), **asks}
        agents.append(replace(template, policies={**given, "approval": merged}) if asks else template)
    return replace(want, agents=tuple(agents))


async def _who_names(session: TenantSession, agent: Agent) -> list[str]:
    """Whatever of other people's asks for this agent by its name."""
    used = await provided_workflows.users_of_agent(session, agent.name, agent.installation_id)
    found = [f"workflow {name} asks agent {agent.name}" for name, _ in used]
    for installation in await live_installations(session):
        named = [installation.config.get("agent"), *_channel_agents(installation)]
        if agent.name.casefold() in (str(name).casefold() for name in named if name):
            found.append(f"{installation.package} names agent {agent.name}")
    return found


def _channel_agents(installation: Installation) -> list[Any]:
    return list(dict(installation.config.get("channel_agents") or {}).values())


async def provided_lines(
    session: TenantSession, registry: Registry, installation: Installation, manifest: Manifest
) -> list[tuple[str, bool, str, str]]:
    """Whether what it provided is there and in force: (name, ok, detail, remedy) of each."""
    want, lines = wanted(manifest, here(installation)), list[tuple[str, bool, str, str]]()
    agents = {provided.key_of(agent): agent for agent in await provided.agents_of(session, installation.id)}
    for template in want.agents:
        agent = agents.get(template.key)
        state = "gone" if agent is None else agent.state
        name = template.name if agent is None else agent.name
        remedy = f"fleetprompt agent resume {name}" if state == AgentState.PAUSED else "Install it anew."
        lines.append((f"agent {name}", state == AgentState.ACTIVE, f"is {state}", remedy))
    workflows = {one.name: one for one in await provided_workflows.workflows_of(session, installation.id)}
    for definition in want.workflows:
        workflow = workflows.get(definition.name)
        state = "gone" if workflow is None else workflow.state
        remedy = f"fleetprompt workflow resume {definition.name}"
        lines.append((f"workflow {definition.name}", state == WorkflowState.ACTIVE, f"is {state}", remedy))
    return lines
