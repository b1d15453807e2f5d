"""`SandboxControl`: the methods of `SandboxMattermost` from another process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2

from fleetprompt.sandbox.mattermost.integration_records import SlashCommand
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.mattermost.records import Channel, IncomingHook, Post, SandboxUser, Team


class SandboxControl:
    """Drives a sandbox over its control API. References are records, ids or unique names, as in `SandboxMattermost`.

    Raises httpx2.HTTPStatusError for what the sandbox refuses. Close it, or use it with `async with`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx2.AsyncClient(base_url=self.url + "/sandbox/", timeout=10, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()

    async def _do(self, action: str, **arguments: Any) -> Any:
        body = {name: _ref(value) for name, value in arguments.items() if value is not None}
        response = await self._client.post(action, json=body)
        response.raise_for_status()
        return response.json()

    async def _get(self, what: str, **query: str) -> Any:
        response = await self._client.get(what, params=query)
        response.raise_for_status()
        return response.json()

    async def create_user(
        self,
        username: str,
        *,
        is_bot: bool = False,
        is_admin: bool = False,
        owner: SandboxUser | str | None = None,
    ) -> SandboxUser:
        """An account with a token; the existing one when the name is taken. A bot greets its owner, if it has one."""
        body = {"username": username, "is_bot": is_bot, "is_admin": is_admin, "owner": owner}
        return SandboxUser(**await self._do("users", **body))

    async def create_team(self, name: str) -> Team:
        """A team; the existing one when the name is taken."""
        return Team(**await self._do("teams", name=name))

    async def create_channel(self, team: Team | str, name: str, kind: str = "O") -> Channel:
        """A channel; the existing one when the name is taken."""
        return Channel(**await self._do("channels", team=team, name=name, kind=kind))

    async def add_to_team(self, user: SandboxUser | str, team: Team | str) -> None:
        """Join a team."""
        await self._do("team-members", user=user, team=team)

    async def add_to_channel(
        self, user: SandboxUser | str, channel: Channel | str, *, adder: SandboxUser | str | None = None
    ) -> None:
        """Put a user into a channel and its team."""
        await self._do("channel-members", user=user, channel=channel, adder=adder)

    async def remove_from_channel(
        self, user: SandboxUser | str, channel: Channel | str, *, remover: SandboxUser | str | None = None
    ) -> None:
        """Take a user out of a channel."""
        await self._do("channel-removals", user=user, channel=channel, remover=remover)

    async def direct_channel(self, user_a: SandboxUser | str, user_b: SandboxUser | str) -> Channel:
        """The direct channel of two accounts."""
        return Channel(**await self._do("direct-channels", user_a=user_a, user_b=user_b))

    async def archive_channel(self, channel: Channel | str) -> None:
        """Archive a channel."""
        await self._do("channel-archives", channel=channel)

    async def create_hook(
        self, owner: SandboxUser | str, channel: Channel | str, display_name: str = "hook"
    ) -> IncomingHook:
        """An incoming webhook."""
        return IncomingHook(
            **await self._do("hooks", owner=owner, channel=channel, display_name=display_name)
        )

    async def post(
        self,
        user: SandboxUser | str,
        channel: Channel | str,
        message: str,
        *,
        root_id: str = "",
        props: Mapping[str, Any] | None = None,
    ) -> Post:
        """Post as a user."""
        body = {"user": user, "channel": channel, "message": message, "root_id": root_id, "props": props}
        return Post(**await self._do("posts", **body))

    async def edit(
        self, post: Post | str, message: str | None = None, *, props: Mapping[str, Any] | None = None
    ) -> Post:
        """Edit as its author."""
        return Post(**await self._do("edits", post=post, message=message, props=props))

    async def delete(self, post: Post | str) -> None:
        """Delete as its author."""
        await self._do("deletions", post=post)

    async def react(
        self, user: SandboxUser | str, post: Post | str, emoji_name: str = "white_check_mark"
    ) -> None:
        """React to a post."""
        await self._do("reactions", user=user, post=post, emoji_name=emoji_name)

    async def posts(self, channel: Channel | str | None = None, *, deleted: bool = False) -> list[Post]:
        """Posts in `create_at` order, system posts included."""
        query = {"channel": _ref(channel)} if channel else {}
        return [Post(**item) for item in await self._get("posts", deleted=str(deleted).lower(), **query)]

    async def create_command(
        self, owner: SandboxUser | str, team: Team | str, trigger: str, url: str, *, token: str = ""
    ) -> SlashCommand:
        """A slash command of a team; the existing one, with this address, when the word is taken."""
        body = {"owner": owner, "team": team, "trigger": trigger, "url": url, "token": token}
        return SlashCommand(**await self._do("commands", **body))

    async def run_command(
        self, user: SandboxUser | str, channel: Channel | str, text: str, *, team: Team | str | None = None
    ) -> dict[str, Any]:
        """Write a slash command; returns what the client gets."""
        answer: dict[str, Any] = await self._do(
            "command-runs", user=user, channel=channel, text=text, team=team
        )
        return answer

    async def press(self, user: SandboxUser | str, post: Post | str, button: str) -> None:
        """Press a button."""
        await self._do("presses", user=user, post=post, button=button)

    async def shown_privately(self, user: SandboxUser | str) -> list[Post]:
        """The ephemeral posts that an account has seen."""
        return [Post(**item) for item in await self._get("private-posts", user=_ref(user))]

    async def ledger(self, after: int = 0) -> list[LedgerEntry]:
        """Every post accepted from a client whose `arrival` is greater than `after`."""
        return [LedgerEntry(**item) for item in await self._get("ledger", after=str(after))]

    async def fault(self, name: str, **arguments: Any) -> None:
        """Arm or trigger any fault of `SandboxMattermost` by its name and arguments."""
        await self._do(f"faults/{name}", **arguments)

    async def drop_connections(self) -> None:
        """Cut every websocket now."""
        await self.fault("drop_connections")

    async def freeze(self, seconds: float) -> None:
        """Answer nothing for a while; the control API goes on."""
        await self.fault("freeze", seconds=seconds)

    async def answer_429(self, count: int, retry_after_s: float = 1, *, only: str = "") -> None:
        """Refuse the next requests for their rate."""
        await self.fault("answer_429", count=count, retry_after_s=retry_after_s, only=only)

    async def fail_5xx(self, count: int, status: int = 502, *, only: str = "") -> None:
        """Fail the next requests."""
        await self.fault("fail_5xx", count=count, status=status, only=only)

    async def drop_requests(self, count: int, *, only: str = "") -> None:
        """Cut the connection of the next requests before they do anything."""
        await self.fault("drop_requests", count=count, only=only)

    async def commit_then_drop(self, count: int, *, only: str = "POST /api/v4/posts") -> None:
        """Carry the next posts out and cut the connection instead of answering."""
        await self.fault("commit_then_drop", count=count, only=only)

    async def delay_posts(self, count: int, seconds: float) -> None:
        """Commit the next posts late."""
        await self.fault("delay_posts", count=count, seconds=seconds)

    async def swap_frames(self, count: int) -> None:
        """Let the frames of the next posts come after those of the post that follows each."""
        await self.fault("swap_frames", count=count)

    async def refuse_websockets(self, count: int, status: int = 503) -> None:
        """Answer the next websocket upgrades with an HTTP error."""
        await self.fault("refuse_websockets", count=count, status=status)

    async def clear_faults(self) -> None:
        """Disarm what is left."""
        await self.fault("clear_faults")

    async def revoke(self, user: SandboxUser | str) -> None:
        """Make the token worthless."""
        await self.fault("revoke", user=user)

    async def restart(self, down_s: float = 0) -> None:
        """Restart in effect, and wait until it answers again."""
        before = (await self._get("ready"))["generation"]
        await self.fault("restart", down_s=down_s)
        while True:
            if await self._has_restarted(before):
                return
            await asyncio.sleep(0.02)

    async def _has_restarted(self, before: int) -> bool:
        try:
            return bool((await self._get("ready"))["generation"] > before)
        except httpx2.TransportError:
            return False


def _ref(value: Any) -> Any:
    """A record as its id."""
    return value.id if isinstance(value, SandboxUser | Team | Channel | Post) else value
