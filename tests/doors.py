"""A connected house with its doors open over real HTTP, and a slash command registered on the sandbox Mattermost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from fleetprompt.credentials import Secret
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.house import House
from fleetprompt.sandbox.mattermost.integration_records import SlashCommand
from fleetprompt.surfaces.web import create_app, serve
from tests.connected import Stage, connected_house
from tests.house import ACME
from webhooks.mattermost import mattermost_routes


@dataclass(slots=True)
class Doors:
    """One stage with its address. installation: of acme, with a slash token; command: as the server knows it."""

    stage: Stage
    url: str
    installation: Installation
    command: SlashCommand
    client: httpx2.AsyncClient

    def address(self, installation: Installation | None = None, what: str = "command") -> str:
        """Where the server sends what a person sets off."""
        return f"{self.url}/webhooks/mattermost/{(installation or self.installation).id}/{what}"

    def form(self, text: str = "help", **changed: str) -> dict[str, str]:
        """A slash command as the server sends it."""
        form = {
            "channel_id": self.stage.support.id,
            "channel_name": "support",
            "command": "/fleet",
            "response_url": f"{self.stage.server.url}/hooks/commands/fbwyqz7ke3ni5fupxi11w9kt3h",
            "team_domain": self.stage.team.name,
            "team_id": self.stage.team.id,
            "text": text,
            "token": self.command.token,
            "trigger_id": f"trigger:{text}",
            "user_id": self.stage.dana.id,
            "user_name": "dana",
        }
        return form | changed

    async def send(self, form: dict[str, str], installation: Installation | None = None) -> httpx2.Response:
        """Send a form as it is."""
        return await self.client.post(self.address(installation), data=form)

    async def signals(self, name: str, tenant: TenantSlug = ACME) -> list[Any]:
        """All of this name, oldest first."""
        return await self.stage.base.tenant_rows(
            tenant, "select * from signals where name = $1 order by id", name
        )

    def told_directly(self) -> list[str]:
        """What the bot wrote to dana alone."""
        direct = self.stage.server.direct_channel(self.stage.bot, self.stage.dana)
        return [p.message for p in self.stage.server.posts(direct) if p.user_id == self.stage.bot.id]


async def with_slash_token(
    stage: Stage, installation: Installation, token: str, tenant: TenantSlug = ACME
) -> None:
    """The installation as if it had been configured with a slash token."""
    await stage.house.vault.key_of(tenant)
    async with stage.house.tenancy.session(tenant) as session:
        await stage.house.vault.store(session, installation.id, {"slash_token": Secret(token)})


@contextlib.asynccontextmanager
async def served(house: House) -> AsyncIterator[str]:
    """The doors on a port of loopback; their base address."""
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    app = create_app(_ready, mattermost_routes(house))
    serving = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, lambda _, port: ports.put_nowait(port)))
    try:
        yield f"http://127.0.0.1:{await ports.get()}"
    finally:
        stop.set()
        await serving


async def _ready() -> str | None:
    return None


@contextlib.asynccontextmanager
async def open_doors(**config: Any) -> AsyncIterator[Doors]:
    """No worker runs yet."""
    async with (
        connected_house() as stage,
        served(stage.house) as url,
        httpx2.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        installation = await stage.adopt(**config)
        admin = stage.server.create_user("admin", is_admin=True)
        address = f"{url}/webhooks/mattermost/{installation.id}/command"
        command = stage.server.create_command(admin, stage.team, "fleet", address)
        await with_slash_token(stage, installation, command.token)
        yield Doors(stage, url, installation, command, client)
