"""A tenant with a package that provides agents, skills and workflows; for tests below the lifecycle."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Agent, Installation, Workflow
from fleetprompt.packages.grants import consent
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.provision import Provisioned, Withdrawn, provision, withdraw
from tests.house import ACME
from tests.manifests import manifest
from tests.stage import OPERATOR, Stage

SKILL = {
    "name": "greet",
    "title": "Greet",
    "description": "Says hello.",
    "instructions": "Say hello to Zebedee, once.",
}
HOST = {
    "name": "host",
    "named_by": "host_name",
    "purpose": "Greets.",
    "instructions": "Be kind.",
    "skills": ["greet"],
    "tools": ["orders.lookup"],
}
SORT = {
    "name": "sort",
    "title": "Sort",
    "on": "chat.message.received",
    "when": {"signal.payload.addressed": False},
    "steps": [
        {"name": "think", "agent": "host", "input": "Sort this: {{signal.payload.text}}"},
        {"name": "tell", "emit": "tenant.sorted", "payload": {"as": "{{steps.think.result.text}}"}},
    ],
}
LOOK: dict[str, Any] = {
    "scope": "orders:read",
    "access": "read",
    "required": False,
    "reason": "It looks orders up.",
    "risk": "low",
    "data": "metadata",
    "approval": "never",
}
NAMED = {
    "version": 1,
    "schema": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"host_name": {"type": "string", "default": "host", "description": "Its name."}},
    },
}


def greeter(version: str = "1.0.0", **more: Any) -> Manifest:
    """The agent `host` with the skill `greet` and a tool of an optional scope, and the workflow `sort`."""
    provides = {"skills": [SKILL], "agents": [HOST], "workflows": [SORT], **more.pop("provides", {})}
    values = {"provides": provides, "permissions": [LOOK], "config": NAMED, **more}
    return manifest("greeter", version, **values)


async def installed(play: Stage, name: str = "", **config: Any) -> UUID:
    """The row of an installation, which has provided nothing yet."""
    row = Installation(
        id=new_id(),
        package="greeter",
        version="1.0.0",
        name=name,
        state="installed",
        config=config,
        account={},
        start_at_ms=0,
        generation=1,
    )
    async with play.house.tenancy.session(ACME) as session:
        session.add(row)
    return row.id


async def provides(play: Stage, of: UUID, wanted: Manifest | None = None, **more: Any) -> Provisioned:
    """Provision in a transaction of its own, with consent to what is required and `grants`."""
    wanted = wanted or greeter()
    async with play.house.tenancy.session(ACME) as session:
        row = await session.get_one(Installation, of)
        await consent(session, of, wanted, OPERATOR, more.get("grants", ()))
        return await provision(session, play.registry, row, wanted, OPERATOR)


async def withdraws(play: Stage, of: UUID) -> Withdrawn:
    """Withdraw in a transaction of its own."""
    async with play.house.tenancy.session(ACME) as session:
        row = await session.get_one(Installation, of)
        return await withdraw(session, play.registry, row, OPERATOR)


async def agents(play: Stage) -> dict[str, Agent]:
    """All but the archived, by name."""
    async with play.house.tenancy.session(ACME) as session:
        found = await session.scalars(select(Agent).where(Agent.state != "archived"))
        return {agent.name: agent for agent in found}


async def workflows(play: Stage) -> dict[str, Workflow]:
    """All but the archived, by name."""
    async with play.house.tenancy.session(ACME) as session:
        found = await session.scalars(select(Workflow).where(Workflow.state != "archived"))
        return {workflow.name: workflow for workflow in found}
