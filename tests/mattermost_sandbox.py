"""A small team on a sandbox Mattermost, and a bare websocket client that reads its frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from fleetprompt.sandbox.mattermost import Channel, HubLimits, SandboxMattermost, SandboxUser, Team


@dataclass(frozen=True, slots=True)
class Scene:
    """fleet: the bot. dana: a person. Both are in #support of the team acme. api: as the bot, with its token."""

    server: SandboxMattermost
    fleet: SandboxUser
    dana: SandboxUser
    team: Team
    support: Channel
    api: httpx2.AsyncClient

    async def post(self, message: str, **fields: Any) -> httpx2.Response:
        """Post to #support as the bot, over REST."""
        body = {"channel_id": self.support.id, "message": message} | fields
        return await self.api.post("/posts", json=body)

    def says(self, *messages: str) -> None:
        """Dana posts to #support."""
        for message in messages:
            self.server.post(self.dana, self.support, message)


@asynccontextmanager
async def scene(limits: HubLimits | None = None) -> AsyncIterator[Scene]:
    """A running sandbox with the team in it."""
    async with SandboxMattermost(limits=limits) as server:
        fleet, dana = server.create_user("fleet", is_bot=True), server.create_user("dana")
        team = server.create_team("acme")
        support = server.create_channel(team, "support")
        for user in (fleet, dana):
            server.add_to_channel(user, support)
        headers = {"authorization": f"Bearer {fleet.token}"}
        base_url = server.url + "/api/v4"
        async with httpx2.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as api:
            yield Scene(server, fleet, dana, team, support, api)


def websocket(server: SandboxMattermost, token: str = "", query: str = "", **options: Any) -> connect:
    """A client's websocket; `async with` it. Without a token it still has to send its challenge."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = server.url.replace("http", "ws") + "/api/v4/websocket" + query
    options = {"compression": None, "max_size": None, "ping_interval": None} | options
    return connect(url, additional_headers=headers, proxy=None, **options)


async def frame(socket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(5):
        value: dict[str, Any] = json.loads(await socket.recv())
    return value


async def hello(socket: ClientConnection) -> str:
    """Read the greeting (and the own status). Returns the connection id."""
    greeting = await frame(socket)
    assert greeting["event"] == "hello"
    assert greeting["seq"] == 0
    assert (await frame(socket))["event"] == "status_change"
    return str(greeting["data"]["connection_id"])


async def messages(socket: ClientConnection, count: int) -> list[str]:
    """The texts of the next `count` posts, other events aside."""
    found: list[str] = []
    while len(found) < count:
        event = await frame(socket)
        if event.get("event") == "posted":
            found.append(json.loads(event["data"]["post"])["message"])
    return found
