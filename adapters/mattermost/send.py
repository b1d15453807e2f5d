"""Posting once, and finding out whether a post is there.

The server remembers a `pending_post_id` for 30 seconds, in memory; a post's own `props` are for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.contract import Button, Outbound, Place, Receipt
from adapters.errors import (
    AdapterError,
    FarSideFailed,
    NotAllowed,
    OutcomeUnknown,
    PlaceGone,
    Refused,
    TooLong,
)
from adapters.mattermost.client import Api
from adapters.mattermost.decode import clean_text
from adapters.mattermost.parse import (
    DIRECTIVE_PROP,
    MalformedFrame,
    Post,
    is_id,
    parse_channel,
    parse_post,
    posts_in,
)

CLOCK_SKEW_MS = 120_000
MAX_PAGES = 50
PAGE_POSTS = 200
_KEY = re.compile(r"[!-~]{1,100}")


def post_body(message: Outbound, own_user_id: str, max_runes: int) -> dict[str, Any]:
    """The request. Raises Refused or TooLong for what the server would refuse, or take and should not."""
    if not _KEY.fullmatch(message.key):
        raise Refused("the key is not printable ASCII of at most 100 characters")
    text = clean_text(message.text)
    if not text.strip():
        raise Refused("an empty message is not sent")  # the server would take it
    if len(text) > max_runes:
        raise TooLong(f"{len(text)} runes, the server takes {max_runes}")
    return {
        "channel_id": _path_id(message.place.channel_id),
        "root_id": _path_id(message.place.thread_id) if message.place.thread_id else "",
        "message": text,
        "pending_post_id": f"{own_user_id}:{message.key}",
        "props": {
            **{f"fleetprompt_{k}": v for k, v in message.metadata.items()},
            DIRECTIVE_PROP: message.key,
            **_attachments(message.buttons),
        },
    }


def _attachments(buttons: Sequence[Button]) -> dict[str, Any]:
    """Buttons stand in an attachment; their ids are letters and digits. No client gets to see an `integration`."""
    actions = [
        {
            "id": f"b{place}",
            "name": button.label,
            "type": "button",
            "style": button.style or "default",
            "integration": {"url": button.url, "context": dict(button.context)},
        }
        for place, button in enumerate(buttons, start=1)
    ]
    return {"attachments": [{"fallback": "", "actions": actions}]} if actions else {}


async def create_post(api: Api, message: Outbound, own_user_id: str, max_runes: int) -> Receipt:
    """Post once. Raises OutcomeUnknown when the server may have it."""
    answer = await api.posts.create_post(post_body(message, own_user_id, max_runes))
    try:
        post = parse_post(answer)
    except MalformedFrame as error:
        raise OutcomeUnknown("the server took the post and its answer makes no sense") from error
    return Receipt(post.id, post.create_at)


async def patch_post(api: Api, post_id: str, text: str, max_runes: int) -> Receipt:
    """Replace the text, leaving props as they are."""
    text = clean_text(text)
    if not text.strip() or len(text) > max_runes:
        raise Refused("an edit to an empty or too long text is not sent")
    post = parse_post(await api.posts.patch_post(_path_id(post_id), options={"message": text}))
    return Receipt(post.id, post.edit_at or post.create_at)


async def open_direct(api: Api, own_user_id: str, account_id: str) -> Place:
    """The channel of two accounts; the server answers with the one that is there already, so a lost answer does no harm."""
    if account_id == own_user_id:
        raise Refused("nobody is told what only we ourselves would read")
    both = [own_user_id, _path_id(account_id)]
    try:
        channel = parse_channel(await api.channels.create_direct_message_channel(both))
    except (OutcomeUnknown, MalformedFrame) as error:
        raise FarSideFailed("the direct message channel was not answered") from error
    return Place(channel.id, channel.kind, "", channel.name)


async def find_post(api: Api, message: Outbound, own_user_id: str) -> Receipt | None:
    """Find the message by author and key. None = certainly absent. Raises OutcomeUnknown when it cannot tell."""
    search = _Search(api, message, own_user_id)
    try:
        return await search.thread() if message.place.thread_id else await search.channel()
    except NotAllowed as error:
        raise OutcomeUnknown("the channel is closed to us, so the post cannot be looked for") from error


class _Search:
    def __init__(self, api: Api, message: Outbound, own_user_id: str) -> None:
        self._api = api
        self._message = message
        self._own_user_id = own_user_id

    async def thread(self) -> Receipt | None:
        try:
            page = await self._api.posts.get_thread(_path_id(self._message.place.thread_id))
        except PlaceGone:
            return None  # a deleted root took its replies along
        found = self._among(posts_in(page, only_ordered=False)[0])
        if found is None and isinstance(page, dict) and page.get("has_next"):
            return await self.channel()
        return found

    async def channel(self) -> Receipt | None:
        """Page newest first, back to before the first try."""
        params: dict[str, str | int] = {"per_page": PAGE_POSTS}
        not_before_ms = self._message.first_tried_at_ms - CLOCK_SKEW_MS
        channel_id = _path_id(self._message.place.channel_id)
        for _ in range(MAX_PAGES):
            posts, skipped = posts_in(
                await self._api.posts.get_posts_for_channel(channel_id, params=params), only_ordered=True
            )
            found = self._among(posts)
            if found or not posts or posts[-1].create_at < not_before_ms:
                return found
            if skipped:
                break
            params["before"] = posts[-1].id
        raise OutcomeUnknown(f"not among the newest {MAX_PAGES * PAGE_POSTS} posts, nor certainly absent")

    def _among(self, posts: Iterable[Post]) -> Receipt | None:
        for post in posts:
            if post.user_id == self._own_user_id and post.props.get(DIRECTIVE_PROP) == self._message.key:
                return Receipt(post.id, post.create_at, found=True)
        return None


async def show_typing(api: Api, own_user_id: str, channel_id: str, thread_id: str) -> None:
    """Say that an answer is being written (the driver lacks this call). A refusal does not matter."""
    body = {"channel_id": channel_id, "parent_id": thread_id}
    try:
        await api.client.post(f"/users/{own_user_id}/typing", options=body)
    except AdapterError:
        return


def _path_id(value: str) -> str:
    """An id that may stand in a path."""
    if not is_id(value):
        raise PlaceGone("the place's id is none of this server's")
    return value
