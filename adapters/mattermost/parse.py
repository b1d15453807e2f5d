"""Frames and posts of the wire, as values. Pure: bytes in, values out.

Written from the recorded traffic of a 5.37 server (tests/fixtures/mattermost) and the server's source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapters.mattermost.decode import MalformedJson, decode

DIRECTIVE_PROP = "fleetprompt_directive"
_EFFECT = re.compile(r"[0-9a-f-]{36}\.[0-9]+")  # a directive's id and a part's number
MAX_ID_CHARS = 64  # the server's own have 26
MAX_NAME_RUNES = 256
MAX_TEXT_RUNES = 65_536  # the server takes 16383
MAX_FULL_RUNES = 1_000_000  # the server takes 800,000 of props
MAX_NUMBER = 2**53 - 1  # what JSON holds exactly; far more would not fit into a database either

# Bounds, because what is stored must be storable: one event that is not would hold up all that come after it.
Id = Annotated[str, Field(pattern=rf"^[a-z0-9]{{1,{MAX_ID_CHARS}}}$")]
IdOrNone = Annotated[str, Field(pattern=rf"^[a-z0-9]{{0,{MAX_ID_CHARS}}}$")]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
_ID = re.compile(rf"[a-z0-9]{{1,{MAX_ID_CHARS}}}")

CHANNEL_KINDS = {"O": "public", "P": "private", "D": "direct", "G": "group"}


class MalformedFrame(ValueError):
    """Not a frame or post of this protocol; says nothing of its content."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One server event. seq: the server's count on this connection, without gaps."""

    raw: bytes
    event: str
    seq: int
    data: Mapping[str, Any]
    broadcast: Mapping[str, Any]


class Post(BaseModel):
    """The part of a post that is read. Times in unix ms by the server's clock, 0 = never."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Id
    channel_id: Id
    user_id: IdOrNone = ""
    root_id: IdOrNone = ""
    original_id: IdOrNone = ""
    message: str = Field(default="", max_length=MAX_TEXT_RUNES)
    type: str = Field(default="", max_length=MAX_NAME_RUNES)
    create_at: Milliseconds
    edit_at: Milliseconds = 0
    delete_at: Milliseconds = 0
    props: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    pending_post_id: str = Field(default="", max_length=MAX_NAME_RUNES)

    @field_validator("props", "metadata", mode="before")
    @classmethod
    def _absent_is_empty(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {}

    @property
    def is_from_webhook(self) -> bool:
        """Made by a webhook or a slash command's answer. Users can forge it on 5.37, which only silences them."""
        return str(self.props.get("from_webhook", "")).lower() == "true"

    @property
    def is_by_a_program(self) -> bool:
        """Said by one of us, perhaps with a person's token. Users can forge it, which only silences them."""
        key = self.props.get(DIRECTIVE_PROP)
        return isinstance(key, str) and _EFFECT.fullmatch(key) is not None

    @property
    def attachment_texts(self) -> list[str]:
        """`pretext` and `text` of the message attachments: the fields in which the server looks for mentions."""
        attachments = self.props.get("attachments")
        texts: list[str] = []
        for item in attachments if isinstance(attachments, list) else []:
            if isinstance(item, dict):
                texts += [
                    item[key] for key in ("pretext", "text") if isinstance(item.get(key), str) and item[key]
                ]
        return texts

    @property
    def full_text(self) -> str:
        """The message with its attachments' texts."""
        return "\n\n".join(part for part in (self.message, *self.attachment_texts) if part)[:MAX_FULL_RUNES]

    @property
    def files(self) -> list[dict[str, Any]]:
        """Name, size in bytes and media type of each attached file."""
        files = self.metadata.get("files")
        names = ("id", "name", "size", "mime_type")
        known = [item for item in files if isinstance(item, dict)] if isinstance(files, list) else []
        return [{name: item.get(name) for name in names} for item in known]


class Channel(BaseModel):
    """The part of a channel that is read. last_post_at in unix ms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Id
    type: str = Field(default="", max_length=MAX_NAME_RUNES)
    name: str = Field(default="", max_length=MAX_NAME_RUNES)
    team_id: IdOrNone = ""
    last_post_at: Milliseconds = 0
    delete_at: Milliseconds = 0

    @property
    def kind(self) -> str:
        """As the contract names it; an unknown type counts as private: there a mention is needed."""
        return CHANNEL_KINDS.get(self.type, "private")


def parse_frame(raw: bytes) -> Frame | None:
    """Read one websocket message. None = not an event (the answer to a client's frame). Raises MalformedFrame."""
    value = _decoded(raw)
    if not isinstance(value, dict):
        raise MalformedFrame("a frame that is no object")
    if "seq_reply" in value and "event" not in value:
        return None
    event, seq = value.get("event"), value.get("seq")
    if not isinstance(event, str) or type(seq) is not int or not 0 <= seq <= MAX_NUMBER:
        raise MalformedFrame("a frame without event or seq")
    return Frame(raw, event, seq, _object(value.get("data")), _object(value.get("broadcast")))


def is_id(value: object) -> TypeGuard[str]:
    """Whether it can be an id of this server."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def parse_post(value: Any) -> Post:
    """Read a post: an object, or the JSON string that frames carry. Raises MalformedFrame."""
    try:
        return Post.model_validate(_decoded(value) if isinstance(value, str) else value)
    except ValidationError:
        # The original quotes the post.
        raise MalformedFrame("a post without id, channel or time, or beyond all bounds") from None


def parse_channel(value: Any) -> Channel:
    """Read a channel. Raises MalformedFrame."""
    try:
        return Channel.model_validate(value)
    except ValidationError:
        raise MalformedFrame("a channel without id, or beyond all bounds") from None


def posts_in(page: Any, *, only_ordered: bool) -> tuple[list[Post], int]:
    """The posts of a page, newest first (in the server's order within a millisecond), and how many were malformed.

    only_ordered: leave out what `posts` holds beyond `order` (roots of threads, not part of the page).
    """
    body = _object(page)
    posts = _object(body.get("posts"))
    order = body.get("order")
    ids: Sequence[Any] = order if only_ordered and isinstance(order, list) else list(posts)
    return _valid([posts[post_id] for post_id in ids if isinstance(post_id, str) and post_id in posts])


def post_bytes(value: Post) -> bytes:
    """A caught-up post as bytes: the server sends it inside a page, so its own bytes do not stand alone."""
    return json.dumps(value.model_dump(), separators=(",", ":")).encode()


def _valid(values: Sequence[Any]) -> tuple[list[Post], int]:
    posts: list[Post] = []
    for value in values:
        try:
            posts.append(parse_post(value))
        except MalformedFrame:
            continue
    return sorted(posts, key=lambda post: post.create_at, reverse=True), len(values) - len(posts)


def _decoded(data: bytes | str) -> Any:
    try:
        return decode(data)
    except MalformedJson as error:
        raise MalformedFrame("not JSON") from error


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
