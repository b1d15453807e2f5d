"""The set-up test: line by line what works, and what to do about what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.contract import Check
from adapters.errors import AdapterError, FarSideFailed
from adapters.mattermost.client import Api
from adapters.mattermost.session import choose_teams, read_account, read_max_runes
from adapters.mattermost.settings import MattermostSettings
from adapters.mattermost.socket import Socket

REMEDIES = {
    "address": "Check server_url, and that this machine may reach it.",
    "token": "Make a new token for the bot account and store it as bot_token.",
    "team": "Add the bot to the team, and give the team's name as in its address.",
    "channels": "Add the bot to a channel: /invite @{name} in that channel.",
    "websocket": "A proxy before the server must pass the Upgrade header on /api/v4/websocket.",
    "limits": "Nothing to do: the usual limit is taken.",
}


class SetupTest:
    """Tries one setting after another; a failed one ends the test, since the next depend on it."""

    def __init__(self, api: Api, settings: MattermostSettings) -> None:
        self._api = api
        self._settings = settings
        self._username = ""
        self._team_ids: list[str] = []

    async def run(self) -> list[Check]:
        """All lines up to the first failure. Never raises for a refusal."""
        steps: dict[str, Callable[[], Awaitable[str]]] = {
            "address": self._address,
            "token": self._token,
            "team": self._team,
            "channels": self._channels,
            "websocket": self._websocket,
            "limits": self._limits,
        }
        lines: list[Check] = []
        for name, step in steps.items():
            lines.append(await self._line(name, step))
            if not lines[-1].ok and name != "channels":
                break
        return lines

    async def _line(self, name: str, step: Callable[[], Awaitable[str]]) -> Check:
        try:
            return Check(name, True, await step())
        except AdapterError as error:
            remedy = error.advice or REMEDIES[name].format(name=self._username or "the-bot")
            return Check(name, False, error.detail, remedy)

    async def _address(self) -> str:
        await self._api.system.check_system_health()
        return f"{self._api.client.address.authority} answers, version {self._api.client.server_version or 'unknown'}"

    async def _token(self) -> str:
        self._username = (await read_account(self._api, self._settings))["username"]
        return f"the token is @{self._username}'s"

    async def _team(self) -> str:
        self._team_ids = choose_teams(await self._api.teams.get_user_teams("me"), self._settings)
        return f"in {len(self._team_ids)} team(s)"

    async def _channels(self) -> str:
        found: set[str] = set()
        for team_id in self._team_ids:
            channels: Any = await self._api.channels.get_channels_for_user("me", team_id)
            found |= {str(channel.get("id")) for channel in channels if isinstance(channel, dict)}
        if not found:
            raise FarSideFailed("the bot is in no channel")
        return f"in {len(found)} channel(s)"

    async def _websocket(self) -> str:
        try:
            async with (
                asyncio.timeout(self._settings.pace.hello_timeout_s),
                Socket(self._settings, self._api.client.address, None) as socket,
            ):
                frame = await socket.next_frame()
        except TimeoutError as error:
            raise FarSideFailed("the server accepted the websocket and did not greet") from error
        if frame is None or frame.event != "hello":
            raise socket.error or FarSideFailed("the server ended the websocket before it greeted")
        return "connects"

    async def _limits(self) -> str:
        return f"messages of up to {await read_max_runes(self._api)} runes"
