"""A post or frame becomes an `Inbound`; the same event gets the same key, whether it came live or by catch-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from adapters.mattermost.accounts import Directory
from adapters.mattermost.mentions import mentions
from adapters.mattermost.parse import (
    Channel,
    Frame,
    MalformedFrame,
    Post,
    is_id,
    parse_channel,
    parse_post,
    post_bytes,
)

NO_CURSOR = Cursor("")
SILENT = (AuthorKind.SELF, AuthorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a post. happened_at_ms: by the server's clock; 0 = the server did not say (a live deletion)."""

    kind: EventKind
    post: Post
    happened_at_ms: int

    @property
    def key(self) -> str:
        """The event's key: the same however often and by whatever way it comes."""
        if self.kind is EventKind.EDITED:
            return f"edited:{self.post.id}:{self.post.edit_at}"
        return f"deleted:{self.post.id}" if self.kind is EventKind.DELETED else f"post:{self.post.id}"


def live_happening(frame: Frame) -> Happening | None:
    """What a frame says about a post; None when it says nothing that we tell. Raises MalformedFrame."""
    if frame.event not in ("posted", "post_edited", "post_deleted"):
        return None
    post = parse_post(frame.data.get("post"))
    if post.original_id:
        return None  # a copy in the edit history
    if frame.event == "posted":
        return Happening(EventKind.MESSAGE, post, post.create_at)
    if frame.event == "post_deleted":
        return Happening(EventKind.DELETED, post, post.delete_at)
    # Pins, reactions' bumps and link previews also come as `post_edited`; only a change of text has a new edit_at.
    return Happening(EventKind.EDITED, post, post.edit_at) if post.edit_at else None


class Normaliser:
    """Builds `Inbound` values for one account, without a cursor: that is the listener's to add."""

    def __init__(self, directory: Directory, user_id: str, username: str, now_ms: Callable[[], int]) -> None:
        self._directory = directory
        self._user_id = user_id
        self._username = username
        self._now_ms = now_ms

    async def caught_up(self, happening: Happening, channel: Channel) -> Inbound:
        """An event that catch-up found."""
        return await self._build(happening, channel, post_bytes(happening.post), caught_up=True)

    async def live(self, happening: Happening, frame: Frame) -> Inbound:
        """An event that a frame brought."""
        channel = await self._channel_of(happening.post, frame)
        return await self._build(happening, channel, frame.raw, caught_up=False)

    async def membership(self, frame: Frame, connection_id: str) -> Inbound | None:
        """Our own account was added to a channel or removed from it; None for anybody else's coming and going."""
        found = self._membership_of(frame)
        if found is None:
            return None
        kind, channel_id, by_user_id = found
        channel = await self._directory.channel(channel_id)
        return Inbound(
            kind=kind,
            event_key=f"{kind.value}:{channel_id}:{connection_id}:{frame.seq}",
            external_id=channel_id,
            author=Author(by_user_id, AuthorKind.SYSTEM),
            place=_place(channel, ""),
            text="",
            sent_at_ms=self._now_ms(),
            addressed=False,
            raw=frame.raw,
            cursor=NO_CURSOR,
        )

    def _membership_of(self, frame: Frame) -> tuple[EventKind, str, str] | None:
        data, broadcast = frame.data, frame.broadcast
        if frame.event == "user_added" and data.get("user_id") == self._user_id:
            channel_id = _id_in(broadcast.get("channel_id"))
            return (EventKind.ADDED, channel_id, "") if channel_id else None
        removed = data.get("user_id") or broadcast.get("user_id")
        if frame.event == "user_removed" and removed == self._user_id:
            channel_id = _id_in(data.get("channel_id") or broadcast.get("channel_id"))
            return (EventKind.REMOVED, channel_id, _id_in(data.get("remover_id"))) if channel_id else None
        return None

    async def _channel_of(self, post: Post, frame: Frame) -> Channel:
        """`posted` names the channel's kind; the other frames do not."""
        kind = frame.data.get("channel_type")
        if not isinstance(kind, str) or not kind:
            return await self._directory.channel(post.channel_id)
        name, team_id = frame.data.get("channel_name"), frame.data.get("team_id")
        named = {"id": post.channel_id, "type": kind, "name": name, "team_id": team_id or ""}
        return self._directory.learn(parse_channel(named))

    async def _build(self, happening: Happening, channel: Channel, raw: bytes, *, caught_up: bool) -> Inbound:
        post, kind = happening.post, happening.kind
        author = await self._directory.author(post)
        is_gone = kind is EventKind.DELETED
        mentions_us = not is_gone and mentions(self._username, (post.message, *post.attachment_texts))
        speaks_to_us = mentions_us or channel.kind == "direct"
        return Inbound(
            kind=kind,
            event_key=happening.key,
            external_id=post.id,
            author=author,
            place=_place(channel, post.root_id),
            text="" if is_gone else post.full_text,
            sent_at_ms=happening.happened_at_ms or self._now_ms(),
            addressed=kind is EventKind.MESSAGE and author.kind not in SILENT and speaks_to_us,
            raw=raw,
            cursor=NO_CURSOR,
            caught_up=caught_up,
            rewritten=kind is EventKind.MESSAGE and post.edit_at > 0,
            mentions_us=mentions_us,
            attachments=tuple(post.files),
        )


def _id_in(value: object) -> str:
    """The id, "" for none. Raises MalformedFrame for what cannot be one."""
    if value and not is_id(value):
        raise MalformedFrame("a frame with a senseless id")
    return value if is_id(value) else ""


def _place(channel: Channel, thread_id: str) -> Place:
    return Place(channel.id, channel.kind, thread_id, channel.name, channel.team_id)
