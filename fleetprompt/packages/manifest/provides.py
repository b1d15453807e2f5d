"""What a package brings: skills, agents, workflows and connectors, all as templates."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fleetprompt.packages.manifest.names import (
    ConnectorKey,
    Key,
    Line,
    Part,
    Prose,
    SignalPattern,
    Slug,
    ToolName,
)


class SkillExample(Part):
    """What somebody asks, and what a good answer looks like."""

    ask: Line
    answer: Prose | None = None


class Skill(Part):
    """A reusable piece of know-how: what it is for, how to go about it, with which tools."""

    name: Slug
    title: Line
    description: Prose
    instructions: Prose
    tools: tuple[ToolName, ...] = ()
    examples: tuple[SkillExample, ...] = ()


class AgentTemplate(Part):
    """An agent that the installation makes. limits, policies: as `fleetprompt agent set` takes them.

    named_by: the setting that says what it is called here, if there is one.
    """

    name: Slug
    named_by: Key | None = None
    purpose: Line
    instructions: Prose
    skills: tuple[Slug, ...] = ()
    tools: tuple[ToolName, ...] = ()
    limits: dict[str, int | float | str] = Field(default_factory=dict)
    policies: dict[str, Any] = Field(default_factory=dict)


class WorkflowTemplate(Part):
    """A workflow that the installation makes; on, when, steps: as in `fleetprompt.runtime.workflows`."""

    name: Slug
    title: Line
    on: SignalPattern
    when: dict[str, Any] = Field(default_factory=dict)
    steps: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=50)]


class ConnectorTemplate(Part):
    """A wire that the package opens; `connector` is one of the platform's own."""

    connector: ConnectorKey
    title: Line
    inbound: bool
    outbound: bool


class Provides(Part):
    """All of it."""

    skills: tuple[Skill, ...] = ()
    agents: tuple[AgentTemplate, ...] = ()
    workflows: tuple[WorkflowTemplate, ...] = ()
    connectors: tuple[ConnectorTemplate, ...] = ()
