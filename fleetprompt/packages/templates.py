"""What a manifest provides, in the words of one installation: its names, its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetprompt.model import Installation
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.provides import AgentTemplate as AgentWords
from fleetprompt.packages.manifest.provides import Skill, WorkflowTemplate
from fleetprompt.runtime.agents.provided import AgentTemplate
from fleetprompt.runtime.workflows.definition import Definition, read


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an installation shall have provided."""

    agents: tuple[AgentTemplate, ...]
    workflows: tuple[Definition, ...]


@dataclass(frozen=True, slots=True)
class Here:
    """An installation as templates see it. suffix: after names that no setting gives, so that a second one has its own."""

    installation_id: str
    config: Mapping[str, Any]
    suffix: str = ""


def here(installation: Installation) -> Here:
    """Of a row."""
    suffix = f"-{installation.name}" if installation.name else ""
    return Here(str(installation.id), installation.config, suffix)


def wanted(manifest: Manifest, place: Here) -> Wanted:
    """Raises InvalidInput for what this program does not understand, though its signature is fine."""
    names = {agent.name: _name(agent, place) for agent in manifest.provides.agents}
    skills = {skill["name"]: skill for skill in taught(manifest, place)}
    agents = tuple(_agent(agent, names[agent.name], skills) for agent in manifest.provides.agents)
    workflows = tuple(_workflow(one, names, place) for one in manifest.provides.workflows)
    return Wanted(agents, workflows)


def taught(manifest: Manifest, place: Here) -> list[dict[str, Any]]:
    """Its skills as agents are taught them (`Agent.skills`)."""
    return [_taught(manifest, skill, place) for skill in manifest.provides.skills]


def _name(agent: AgentWords, place: Here) -> str:
    given = str(place.config.get(agent.named_by) or "") if agent.named_by else ""
    return given if given and given != agent.name else agent.name + place.suffix


def _agent(agent: AgentWords, name: str, skills: Mapping[str, dict[str, Any]]) -> AgentTemplate:
    taught = tuple(skills[one] for one in agent.skills)
    tools = dict.fromkeys([*agent.tools, *(tool for skill in taught for tool in skill["tools"])])
    return AgentTemplate(
        agent.name,
        name,
        agent.purpose,
        agent.instructions.strip(),
        tuple(tools),
        agent.limits,
        agent.policies,
        taught,
    )


def _taught(manifest: Manifest, skill: Skill, place: Here) -> dict[str, Any]:
    words = skill.model_dump(mode="json")
    source = {"package": manifest.slug, "version": manifest.version}
    return {**words, **source, "installation_id": place.installation_id}


def _workflow(workflow: WorkflowTemplate, names: Mapping[str, str], place: Here) -> Definition:
    words = workflow.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)
    for step in words["steps"]:
        if "agent" in step:
            step["agent"] = names[step["agent"]]
    return read({**words, "name": workflow.name + place.suffix})
