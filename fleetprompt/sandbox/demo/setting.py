"""What an operator types once: an organization, an agent, a connection. Real commands, as in the README."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from fleetprompt.sandbox.demo.place import Place
from fleetprompt.sandbox.demo.screen import Screen
from fleetprompt.sandbox.demo.service import command
from fleetprompt.sandbox.demo.town import AGENT, CHANNEL, MAILBOX, TEAM, Town
from fleetprompt.sandbox.mailbox.records import PASSWORD

ORG: Final = "demo"
TOKEN: Final = "SANDBOX_BOT_TOKEN"  # noqa: S105 (the variable's name)
SLASH: Final = "SANDBOX_SLASH_TOKEN"
BRIDGE: Final = "SANDBOX_BRIDGE_PASSWORD"


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
            {**environment, TOKEN: town.agent.token, SLASH: town.slash.token}, "package", "install", "mattermost", *org,
            "--set", f"server_url={town.mattermost.url}", "--set", f"team={TEAM}",
            "--secret", f"bot_token=env:{TOKEN}", "--secret", f"slash_token=env:{SLASH}",
        )  # fmt: skip


async def connect_mailbox(screen: Screen, town: Town, place: Place, environment: Mapping[str, str]) -> None:
    """The mailbox; a later run finds it elsewhere, with another certificate. Raises DemoFailed."""
    verb = "install" if place.is_new else "configure"
    place.certificate.write_text(town.mailbox.certificate_pem)
    own = (
        "--set", f"username={MAILBOX}", "--set", f"notice_channel={CHANNEL}", "--set", "look_up_s=1",
        "--set", "answers_per_sender_per_hour=1000", "--secret", f"bridge_password=env:{BRIDGE}",
    ) if place.is_new else ()  # fmt: skip
    async with screen.step(f"package proton-mail, {verb}d for {MAILBOX}".replace("installd", "installed")):
        await command(
            {**environment, BRIDGE: PASSWORD}, "package", verb, "proton-mail", "--org", ORG, *own,
            "--set", f"imap_port={town.mailbox.imap.port}", "--set", f"smtp_port={town.mailbox.smtp.port}",
            "--set", f"certificate_file={place.certificate}",
        )  # fmt: skip


async def approve(environment: Mapping[str, str], directive_id: str) -> None:
    """As a person does who was told of a draft. Raises DemoFailed."""
    await command(environment, "directives", "approve", directive_id, "--org", ORG)


async def slash_path(environment: Mapping[str, str]) -> str:
    """Where slash commands come in, without the address that FleetPrompt serves. Raises DemoFailed."""
    said = await command(environment, "package", "status", "mattermost", "--org", ORG, "--json")
    return urlsplit(str(json.loads(said)["addresses"][0])).path
