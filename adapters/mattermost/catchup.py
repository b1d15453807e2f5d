"""What happened while we were not listening, read over REST after every `hello`.

Per channel two reads. Pages, newest first, until before the mark: every new message. Then one read `since` the mark, for
edits and deletions alone: it also returns roots bumped by replies, posts bumped by reactions and copies in the edit
history, is capped at 1000 and has no order, so it must not bring messages. Both are put into the order in which things
happened and told oldest first.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from adapters.contract import EventKind, Observer
from adapters.errors import NotAllowed, Refused
from adapters.mattermost.accounts import Directory
from adapters.mattermost.client import Api
from adapters.mattermost.cursor import Position
from adapters.mattermost.normalise import Happening
from adapters.mattermost.parse import Channel, MalformedFrame, Post, parse_channel, posts_in
from adapters.mattermost.session import choose_teams
from adapters.mattermost.settings import MattermostSettings

log = logging.getLogger(__name__)
PAGE_POSTS = 200  # the server's most
SINCE_CAP = 1000  # the server's cap on `since`


class CatchUp:
    """Reads what lies between a position and now."""

    def __init__(
        self,
        api: Api,
        directory: Directory,
        settings: MattermostSettings,
        start_at_ms: int,
        observer: Observer,
    ) -> None:
        self._api = api
        self._directory = directory
        self._settings = settings
        self._pace = settings.pace
        self._start_at_ms = start_at_ms
        self._observer = observer

    async def happenings(self, position: Position) -> AsyncGenerator[tuple[Happening, Channel], None]:
        """Tell what happened, oldest first per channel; the caller moves the position with `reached`, event by event.

        The position is moved here only at the end, when every channel has been told. Raises what a read raises.
        """
        channels = await self._channels()
        newest_ms = max((channel.last_post_at for channel in channels), default=0)
        stale = [channel for channel in channels if self._may_have_news(channel, position)]
        for done, channel in enumerate(stale):
            for happening, waiting in await self._in(channel, position):
                self._observer.backlog(waiting + len(stale) - done)
                yield happening, channel
        position.caught_up(newest_ms)
        self._observer.backlog(0)

    async def _channels(self) -> list[Channel]:
        """Every channel that the account is in, direct and group messages with them, least recently used first."""
        found: dict[str, Channel] = {}
        for team_id in choose_teams(await self._api.teams.get_user_teams("me"), self._settings):
            for value in await self._api.channels.get_channels_for_user("me", team_id):
                try:
                    channel = self._directory.learn(parse_channel(value))
                except MalformedFrame:
                    continue
                found[channel.id] = channel
        return sorted(found.values(), key=lambda channel: channel.last_post_at)

    def _may_have_news(self, channel: Channel, position: Position) -> bool:
        horizon_ms = max(self._pace.overlap_ms, self._pace.change_horizon_ms)
        return channel.last_post_at > position.mark(channel.id) - horizon_ms

    async def _in(self, channel: Channel, position: Position) -> list[tuple[Happening, int]]:
        """The channel's events in order, each with the number that waits behind it."""
        from_ms = max(position.mark(channel.id) - self._pace.overlap_ms, self._start_at_ms, 1)
        try:
            found = await self._messages(channel, from_ms) if channel.last_post_at >= from_ms else []
            found += await self._changes(channel.id, from_ms)
        except (NotAllowed, Refused) as error:
            log.info("mattermost: channel %s is closed to us: %s", channel.id, error)
            return []
        found.sort(key=lambda happening: happening.happened_at_ms)
        return [(happening, len(found) - told) for told, happening in enumerate(found, start=1)]

    async def _messages(self, channel: Channel, from_ms: int) -> list[Happening]:
        seen: dict[str, Post] = {}
        params: dict[str, str | int] = {"per_page": PAGE_POSTS}
        while True:
            page = await self._api.posts.get_posts_for_channel(channel.id, params=params)
            posts, skipped = posts_in(page, only_ordered=True)
            _warn(channel.id, skipped)
            new = [post for post in posts if post.id not in seen]
            seen |= {post.id: post for post in new}
            if not new or posts[-1].create_at < from_ms:
                break
            params["before"] = _page_end(posts)
        return [
            Happening(EventKind.MESSAGE, post, post.create_at)
            for post in reversed(seen.values())
            if post.create_at >= from_ms and not post.original_id and not post.delete_at
        ]

    async def _changes(self, channel_id: str, from_ms: int) -> list[Happening]:
        page = await self._api.posts.get_posts_for_channel(channel_id, params={"since": from_ms})
        posts, skipped = posts_in(page, only_ordered=False)
        _warn(channel_id, skipped)
        if len(posts) >= SINCE_CAP:
            log.warning(
                "mattermost: channel %s: more than %d changes, some go unrecorded", channel_id, SINCE_CAP
            )
        return [change for post in posts if (change := _change(post, from_ms))]


def _change(post: Post, from_ms: int) -> Happening | None:
    if post.original_id:
        return None
    if post.delete_at >= from_ms:
        return Happening(EventKind.DELETED, post, post.delete_at)
    return Happening(EventKind.EDITED, post, post.edit_at) if post.edit_at >= from_ms else None


def _page_end(posts: list[Post]) -> str:
    """The post before which to go on.

    `before` compares `create_at` strictly, so posts of the same millisecond as the named one would be lost: name the
    oldest that is newer than the page's oldest, and read that millisecond again.
    """
    oldest_ms = posts[-1].create_at
    return next((post.id for post in reversed(posts) if post.create_at > oldest_ms), posts[-1].id)


def _warn(channel_id: str, skipped: int) -> None:
    if skipped:
        log.warning("mattermost: channel %s: %d malformed posts skipped", channel_id, skipped)
