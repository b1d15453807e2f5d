"""What every action of the sandbox needs: the database, the hub, what the server remembers, its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetprompt.sandbox.mattermost.callbacks import Errands
from fleetprompt.sandbox.mattermost.errors import forbidden
from fleetprompt.sandbox.mattermost.frames import Audience, Event
from fleetprompt.sandbox.mattermost.hub import Hub, HubLimits
from fleetprompt.sandbox.mattermost.records import Channel, Post, SandboxUser
from fleetprompt.sandbox.mattermost.response_urls import ResponseUrls
from fleetprompt.sandbox.mattermost.world import World

PENDING_S: Final = 30.0
IN_FLIGHT: Final = ""


class PendingPosts:
    """The server's memory of `pending_post_id`s: 30 s, lost with a restart."""

    def __init__(self, ttl_s: float = PENDING_S) -> None:
        self.ttl_s = ttl_s
        self._posts: dict[str, tuple[str, float]] = {}

    def get(self, pending_post_id: str) -> str | None:
        """The post's id, `IN_FLIGHT`, or None when it is unknown or too old."""
        post_id, expires_at = self._posts.get(pending_post_id, (None, 0.0))
        return post_id if time.monotonic() < expires_at else None

    def put(self, pending_post_id: str, post_id: str) -> None:
        """Remember from now on."""
        if len(self._posts) > 10_000:  # the server's cache is bounded too
            self._posts.pop(next(iter(self._posts)))
        self._posts[pending_post_id] = (post_id, time.monotonic() + self.ttl_s)

    def forget(self, pending_post_id: str) -> None:
        """The post was refused."""
        self._posts.pop(pending_post_id, None)

    def clear(self) -> None:
        """A restart."""
        self._posts.clear()


class Overtaking:
    """Frames of concurrent posts come in another order than `create_at` now and then: on command, a post's frames wait
    until the next post's are out, or for `PATIENCE_S`."""

    PATIENCE_S: Final = 0.1

    def __init__(self) -> None:
        self.left = 0
        self._waiting: Callable[[], None] | None = None

    def send(self, announce: Callable[[], None]) -> None:
        """Announce a post now, or let the next one overtake it."""
        if self.left and self._waiting is None:
            self.left -= 1
            self._waiting = announce
            asyncio.get_running_loop().call_later(self.PATIENCE_S, self._release)
        else:
            announce()
            self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting:
            waiting()


@dataclass(slots=True)
class ThreadView:
    """What a follower has not read of a thread. last_viewed_at: unix ms, 0 = never."""

    last_viewed_at: int = 0
    unread_replies: int = 0
    unread_mentions: int = 0


@dataclass(slots=True)
class Site:
    """One running server. views: by (root id, user id). max_post_runes: the database's limit.

    url: its own address. posted: told of each post. shown_privately: the ephemeral posts so far, which nobody stores.
    """

    world: World
    hub: Hub
    pending: PendingPosts = field(default_factory=PendingPosts)
    overtaking: Overtaking = field(default_factory=Overtaking)
    views: dict[tuple[str, str], ThreadView] = field(default_factory=dict)
    max_post_runes: int = 16383
    max_props_runes: int = 8000
    url: str = ""
    posted: Callable[[SandboxUser, Post], None] = lambda _author, _post: None
    errands: Errands = field(default_factory=Errands)
    response_urls: ResponseUrls = field(default_factory=ResponseUrls)
    shown_privately: list[Post] = field(default_factory=list)

    @classmethod
    def open(cls, state_path: Path | None, limits: HubLimits | None = None) -> Site:
        """A site on a state file, or in memory."""
        world = World(state_path)
        site = cls(world, Hub(world, limits))
        site.hub.on_typing = site.typing
        return site

    def forget_memory(self) -> None:
        """What a restart does to the process: only the database stays."""
        self.pending.clear()
        self.hub.clear()
        self.world.reload()

    def require_member(self, user: SandboxUser, channel: Channel) -> None:
        """Raises ApiError 403 unless the user is in the channel."""
        if user.id not in channel.members and not user.is_admin:
            raise forbidden()

    def require_readable(self, user: SandboxUser, channel: Channel) -> None:
        """Raises ApiError 403 unless the user may know of the channel: its members, and the team for a public one."""
        public_to = self.world.teams[channel.team_id].members if channel.kind == "O" else ()
        if user.id not in public_to:
            self.require_member(user, channel)

    def typing(self, user: SandboxUser, channel_id: str, parent_id: str) -> None:
        """Show the others in the channel that the user writes."""
        channel = self.world.channels.get(channel_id)
        if channel and user.id in channel.members:
            audience = Audience(channel_id=channel_id, omit_users=(user.id,))
            self.hub.publish(Event("typing", {"parent_id": parent_id, "user_id": user.id}, audience))
