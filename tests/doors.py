"""An office with its doors open over real HTTP, and a slash command registered on the sandbox Mattermost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest

import fleetprompt.connectors.doors
from fleetprompt.connectors.doors import SHOWN_WITHIN_S
from fleetprompt.connectors.register import register_connectors
from fleetprompt.credentials import Secret
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.commands.register import register_commands
from fleetprompt.packages.house import House
from fleetprompt.packages.register import register_packages
from fleetprompt.sandbox.mattermost import SandboxUser
from fleetprompt.sandbox.mattermost.integration_records import SlashCommand
from fleetprompt.surfaces.web import create_app, serve
from fleetprompt.tenancy import Tenancy
from tests.commanding import Office, drain, office
from tests.connected import build_house, until
from tests.house import ACME
from tests.house import House as Base
from tests.leaks import search_text
from tests.programs import opened
from webhooks.mattermost import mattermost_routes


@dataclass(slots=True)
class Doors:
    """An office and its address. command: as the chat's server knows it, with its token."""

    office: Office
    url: str
    command: SlashCommand
    client: httpx2.AsyncClient

    def address(self, what: str = "command", installation: Installation | None = None) -> str:
        """Where the server sends what a person sets off."""
        return f"{self.url}/webhooks/mattermost/{(installation or self.office.installation).id}/{what}"

    def form(self, text: str, by: SandboxUser | None = None, **changed: str) -> dict[str, str]:
        """A slash command as the server sends it."""
        stage, who = self.office.stage, by or self.office.olga
        form = {
            "channel_id": stage.support.id,
            "channel_name": "support",
            "command": "/fleet",
            "response_url": f"{stage.server.url}/hooks/commands/fbwyqz7ke3ni5fupxi11w9kt3h",
            "team_domain": stage.team.name,
            "team_id": stage.team.id,
            "text": text,
            "token": self.command.token,
            "trigger_id": f"trigger:{text}",
            "user_id": who.id,
            "user_name": who.username,
        }
        return form | changed

    async def send(self, form: dict[str, str], installation: Installation | None = None) -> httpx2.Response:
        """Send a form as it is."""
        answer = await self.client.post(self.address("command", installation), data=form)
        search_text(answer.text, "what a door answered")
        return answer

    async def runs(self, text: str, by: SandboxUser | None = None) -> str:
        """Write `/fleet ...` in the chat; returns what the writer alone is shown."""
        server = self.office.stage.server
        answer = await server.run_command(by or self.office.olga, "support", f"/fleet {text}")
        assert answer["response_type"] == "ephemeral"
        return str(answer["text"])

    async def signals(self, name: str, tenant: TenantSlug = ACME) -> list[Any]:
        """All of this name, oldest first."""
        query = "select * from signals where name = $1 order by id"
        return await self.office.stage.base.tenant_rows(tenant, query, name)

    def told(self, user: SandboxUser) -> list[str]:
        """What the bot wrote to somebody alone."""
        stage = self.office.stage
        direct = stage.server.direct_channel(stage.bot, user)
        return [p.message for p in stage.server.posts(direct) if p.user_id == stage.bot.id]

    async def tells(self, user: SandboxUser, said: str) -> str:
        """The message of the bot to somebody alone that holds this (lower case), once it is there."""

        async def found() -> str | None:
            return next((text for text in self.told(user) if said in text.lower()), None)

        text: str = await until(found)
        return text


async def with_slash_token(
    office: Office, installation: Installation, token: str, tenant: TenantSlug = ACME
) -> None:
    """The installation as if it had been configured with a slash token."""
    vault = office.stage.house.vault
    await vault.key_of(tenant)
    async with office.stage.house.tenancy.session(tenant) as session:
        await vault.store(session, installation.id, {"slash_token": Secret(token)})


@contextlib.asynccontextmanager
async def served(house: House, port: int = 0) -> AsyncIterator[str]:
    """The doors on a port of loopback; their base address."""
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    app = create_app(_ready, mattermost_routes(house))
    serving = asyncio.ensure_future(
        serve(app, "127.0.0.1", port, stop, lambda _, bound: ports.put_nowait(bound))
    )
    try:
        yield f"http://127.0.0.1:{await ports.get()}"
    finally:
        stop.set()
        await serving


async def _ready() -> str | None:
    return None


SEEN_WITHIN_S: Final = 10.0  # for a test that wants to see the answer, however slow the machine


@contextlib.asynccontextmanager
async def open_doors(
    key: bytes | None = None, shown_within_s: float = SHOWN_WITHIN_S
) -> AsyncIterator[Doors]:
    """No worker runs yet. Buttons lead to these doors. key: the master key, where another process needs it too.

    shown_within_s: how long a door waits for the answer that it shows.
    """
    async with (
        contextlib.AsyncExitStack() as stack,
        office(key) as made,
        httpx2.AsyncClient(trust_env=False, timeout=30) as client,
        served(made.stage.house) as url,
    ):
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(fleetprompt.connectors.doors, "SHOWN_WITHIN_S", shown_within_s)
        house = made.stage.house
        known = house.settings.model_copy(update={"public_url": url})  # the port is known only now
        object.__setattr__(house, "settings", known)
        admin = made.stage.server.create_user("admin", is_admin=True)
        address = f"{url}/webhooks/mattermost/{made.installation.id}/command"
        command = made.stage.server.create_command(admin, made.stage.team, "fleet", address)
        await with_slash_token(made, made.installation, command.token)
        yield Doors(made, url, command, client)


def free_port() -> int:
    """A port that nobody had a moment ago, for a process that is told where to listen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def house_on(url: str, key: bytes) -> AsyncIterator[House]:
    """The house, in a process of its own."""
    async with opened(url) as database:
        house = build_house(Base(url, database, Tenancy(database)), key=key)
        register_packages(house)
        register_commands(house)
        connectors = register_connectors(house)
        try:
            yield house
        finally:
            await connectors.close()


async def serve_doors(url: str, key: bytes, port: int) -> None:
    """The web process, as a program of its own, until it is killed."""
    async with house_on(url, key) as house, served(house, port):
        await asyncio.Event().wait()


async def work_off(url: str, key: bytes) -> None:
    """What is due, by a program of its own."""
    async with house_on(url, key) as house:
        await drain(house)
