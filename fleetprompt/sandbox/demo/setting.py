"""What an operator types once: an organization, an agent, a connection. Real commands, as in the README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetprompt.sandbox.demo.screen import Screen
from fleetprompt.sandbox.demo.service import command
from fleetprompt.sandbox.demo.town import AGENT, TEAM, Town

ORG: Final = "demo"
TOKEN: Final = "SANDBOX_BOT_TOKEN"  # noqa: S105 (the variable's name)


async def found(screen: Screen, environment: Mapping[str, str]) -> None:
    """The organization. Raises DemoFailed with the command that did not work."""
    async with screen.step(f"organization {ORG}"):
        await command(environment, "org", "create", ORG, "--name", "FleetPrompt demo")


async def connect(screen: Screen, town: Town, environment: Mapping[str, str]) -> None:
    """Its agent and its connection, while FleetPrompt runs. Raises DemoFailed with the command that did not work."""
    org = ("--org", ORG)
    async with screen.step(f"agent {AGENT}, with the tools orders.lookup and orders.hold"):
        await command(
            environment, "agent", "create", AGENT, *org, "--purpose", "Helps the support team with orders.",
            "--tool", "orders.lookup", "--tool", "orders.hold", "--model", "builtin",
            "--limit", "runs_per_person_per_hour=10000",  # dana asks in every run, and a demo may run often
        )  # fmt: skip
    async with screen.step("package mattermost, installed for it"):
        await command(
            {**environment, TOKEN: town.agent.token}, "package", "install", "mattermost", *org,
            "--set", f"server_url={town.mattermost.url}", "--set", f"team={TEAM}",
            "--secret", f"bot_token=env:{TOKEN}",
        )  # fmt: skip
