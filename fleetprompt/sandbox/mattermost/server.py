"""The sandbox server: its Python API for tests and the demo, and what goes wrong on command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fleetprompt.sandbox.faults import Fault
from fleetprompt.sandbox.loopback import LoopbackServer
from fleetprompt.sandbox.mattermost import membership, posting
from fleetprompt.sandbox.mattermost.application import MattermostApplication
from fleetprompt.sandbox.mattermost.control import Control
from fleetprompt.sandbox.mattermost.doing import Doing
from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.hub import HubLimits
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.mattermost.records import Channel, IncomingHook, Post, SandboxUser, Team
from fleetprompt.sandbox.mattermost.site import Site

UserRef = SandboxUser | str
TeamRef = Team | str
ChannelRef = Channel | str
PostRef = Post | str


class SandboxMattermost(Doing):
    """A Mattermost 5.37 on loopback.

    port: 0 takes a free one. state_path: a log that keeps accounts, channels, posts and the ledger across processes;
    None keeps them in memory, where they survive `restart` but not the object. References (`UserRef` and the like) are
    records, ids or unique names. Methods raise ApiError as the REST API would refuse them.
    """

    def __init__(
        self, port: int = 0, state_path: Path | None = None, *, limits: HubLimits | None = None
    ) -> None:
        self.site = Site.open(state_path, limits)
        self.application = MattermostApplication(self.site, Control(self))
        self.http = LoopbackServer(self.application, port)
        self.generation = 0

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        return self.http.url

    @property
    def ledger(self) -> Sequence[LedgerEntry]:
        """Every post accepted from a client, in order of arrival."""
        return self.site.world.ledger

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self.http.start()
        self.site.url = self.http.url

    async def stop(self) -> None:
        """Cut all connections and close the state file; idempotent."""
        self.site.hub.clear()
        await self.http.stop()
        await self.site.errands.end()
        self.site.world.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # Accounts, teams and channels

    def create_user(
        self, username: str, *, is_bot: bool = False, is_admin: bool = False, owner: UserRef | None = None
    ) -> SandboxUser:
        """An account with a token; the existing one when the name is taken. A bot greets its owner, if it has one."""
        by = self.user(owner) if owner else None
        return membership.create_user(self.site, username, is_bot=is_bot, is_admin=is_admin, owner=by)

    def create_team(self, name: str) -> Team:
        """A team with its default channels; the existing one when the name is taken."""
        return membership.create_team(self.site, name)

    def create_channel(self, team: TeamRef, name: str, kind: str = "O") -> Channel:
        """A public (O) or private (P) channel without members; the existing one when the name is taken."""
        return membership.create_channel(self.site, self.team(team), name, kind)

    def add_to_team(self, user: UserRef, team: TeamRef) -> None:
        """Join a team and its default channels; idempotent."""
        membership.add_to_team(self.site, self.user(user), self.team(team))

    def add_to_channel(self, user: UserRef, channel: ChannelRef, *, adder: UserRef | None = None) -> None:
        """Put a user into a channel (and its team); idempotent."""
        found, member = self.channel(channel), self.user(user)
        if found.team_id:
            membership.add_to_team(self.site, member, self.team(found.team_id))
        membership.add_to_channel(self.site, member, found, self.user(adder) if adder else None)

    def remove_from_channel(
        self, user: UserRef, channel: ChannelRef, *, remover: UserRef | None = None
    ) -> None:
        """Take a user out of a channel; idempotent."""
        by = self.user(remover) if remover else None
        membership.remove_from_channel(self.site, self.user(user), self.channel(channel), by)

    def direct_channel(self, user_a: UserRef, user_b: UserRef) -> Channel:
        """The direct channel of two accounts, opened by the first."""
        return membership.direct_channel(self.site, self.user(user_a), self.user(user_b))

    def group_channel(self, *users: UserRef) -> Channel:
        """The group channel of three to eight accounts."""
        return membership.group_channel(self.site, [self.user(user) for user in users])

    def archive_channel(self, channel: ChannelRef) -> None:
        """Archive a channel; idempotent."""
        membership.archive_channel(self.site, self.channel(channel))

    def create_hook(self, owner: UserRef, channel: ChannelRef, display_name: str = "hook") -> IncomingHook:
        """An incoming webhook: `POST {url}/hooks/{id}`."""
        found = self.channel(channel)
        now = self.site.world.now_ms()
        hook = IncomingHook(new_id(), self.user(owner).id, found.id, found.team_id, display_name, now)
        self.site.world.save(hook)
        return hook

    # Posts

    def post(
        self,
        user: UserRef,
        channel: ChannelRef,
        message: str,
        *,
        root_id: str = "",
        props: Mapping[str, Any] | None = None,
        pending_post_id: str = "",
    ) -> Post:
        """Post as over REST, with all frames; faults do not apply."""
        draft = posting.Draft(
            self.channel(channel).id,
            message,
            root_id,
            dict(props or {}),
            pending_post_id=pending_post_id,
            via="sandbox",
        )
        return self.site.world.posts[posting.create(self.site, self.user(user), draft)["id"]]

    def edit(
        self, post: PostRef, message: str | None = None, *, props: Mapping[str, Any] | None = None
    ) -> Post:
        """Edit as its author."""
        found = self.find_post(post)
        patch = ({} if message is None else {"message": message}) | (
            {} if props is None else {"props": dict(props)}
        )
        return posting.edit(self.site, self.user(found.user_id), found.id, patch)

    def delete(self, post: PostRef) -> None:
        """Delete as its author; a root takes its thread along."""
        found = self.find_post(post)
        posting.delete(self.site, self.user(found.user_id), found.id)

    def react(self, user: UserRef, post: PostRef, emoji_name: str = "white_check_mark") -> None:
        """React to a post."""
        posting.react(self.site, self.user(user), self.find_post(post).id, emoji_name)

    def typing(self, user: UserRef, channel: ChannelRef, *, root_id: str = "") -> None:
        """Show that a user writes."""
        self.site.typing(self.user(user), self.channel(channel).id, root_id)

    def posts(self, channel: ChannelRef | None = None, *, deleted: bool = False) -> list[Post]:
        """Posts in `create_at` order, system posts included; with `deleted` also what was deleted, never edits' copies."""
        channel_id = self.channel(channel).id if channel else None
        found = (p for p in self.site.world.posts.values() if channel_id in (None, p.channel_id))
        kept = (p for p in found if not p.original_id and (deleted or not p.delete_at))
        return sorted(kept, key=lambda p: p.create_at)

    # References

    def user(self, ref: UserRef) -> SandboxUser:
        """Raises ApiError 404."""
        if isinstance(ref, SandboxUser):
            return self.site.world.user(ref.id)
        return self.site.world.users_by_name.get(ref) or self.site.world.user(ref)

    def team(self, ref: TeamRef) -> Team:
        """Raises ApiError 404."""
        if isinstance(ref, Team):
            return self.site.world.team(ref.id)
        return self.site.world.team_named(ref) or self.site.world.team(ref)

    def channel(self, ref: ChannelRef) -> Channel:
        """Raises ApiError 404. A name must be unique over the teams."""
        if isinstance(ref, Channel):
            return self.site.world.channel(ref.id)
        named = [c for c in self.site.world.channels.values() if c.name == ref]
        return named[0] if len(named) == 1 else self.site.world.channel(ref)

    def find_post(self, ref: PostRef) -> Post:
        """Raises ApiError 404."""
        return self.site.world.post(ref.id if isinstance(ref, Post) else ref)

    # Faults

    def drop_connections(self) -> None:
        """Cut every websocket now; they may come back and resume."""
        self.http.abort_connections(sockets_only=True)

    def freeze(self, seconds: float) -> None:
        """Accept connections and answer nothing, pings included; requests sent meanwhile are carried out afterwards."""
        self.http.freeze(seconds)

    def thaw(self) -> None:
        """End a freeze early."""
        self.http.thaw()

    def answer_429(self, count: int, retry_after_s: float = 1, *, only: str = "") -> None:
        """Refuse the next requests for their rate. only: as in `Fault`."""
        self.application.faults.arm(Fault("429", count, only, retry_after_s))

    def fail_5xx(self, count: int, status: int = 502, *, only: str = "") -> None:
        """Fail the next requests before they do anything, as a broken proxy would."""
        self.application.faults.arm(Fault("5xx", count, only, status))

    def drop_requests(self, count: int, *, only: str = "") -> None:
        """Cut the connection of the next requests before they do anything."""
        self.application.faults.arm(Fault("cut", count, only))

    def commit_then_drop(self, count: int, *, only: str = "POST /api/v4/posts") -> None:
        """Carry the next requests out, frames included, and cut the connection instead of answering."""
        self.application.faults.arm(Fault("commit_then_drop", count, only))

    def delay_posts(self, count: int, seconds: float) -> None:
        """Commit the next posts late; meanwhile their `pending_post_id` is in flight (500 for a repeat)."""
        self.application.faults.arm(Fault("delay", count, "POST /api/v4/posts", seconds))

    def swap_frames(self, count: int) -> None:
        """Let the frames of the next `count` posts come after those of the post that follows each."""
        self.site.overtaking.left = count

    def refuse_websockets(self, count: int, status: int = 503) -> None:
        """Answer the next websocket upgrades with an HTTP error."""
        self.application.faults.arm(Fault("refuse_websocket", count, "", status))

    def clear_faults(self) -> None:
        """Disarm what is left."""
        self.application.faults.clear()

    def revoke(self, user: UserRef) -> None:
        """Make the token worthless: 401 from now on, open websockets are closed."""
        revoked = self.user(user)
        revoked.revoked = True
        self.site.world.save(revoked)
        for session in list(self.site.hub.sessions.get(revoked.id, {}).values()):
            session.cut()

    async def restart(self, down_s: float = 0) -> None:
        """Restart the process in effect: sockets, `pending_post_id`s, resume buffers and faults are gone, posts are not."""
        self.site.hub.clear()
        await self.http.stop()
        self.site.forget_memory()
        self.application.faults.clear()
        self.generation += 1
        await asyncio.sleep(down_s)
        await self.http.start()


__all__ = ["ApiError", "ChannelRef", "PostRef", "SandboxMattermost", "TeamRef", "UserRef"]
