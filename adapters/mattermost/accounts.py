"""Who an author is and what a channel is, by the server's own record, remembered for an hour."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from adapters.contract import AccountNow, Author, AuthorKind
from adapters.errors import FarSideFailed, NotAllowed, Refused
from adapters.mattermost.client import Api
from adapters.mattermost.parse import MAX_NAME_RUNES, Channel, MalformedFrame, Post, parse_channel

log = logging.getLogger(__name__)
REMEMBERED_S = 3600.0
MAX_REMEMBERED = 20_000
Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """A bounded memory whose entries age."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._entries: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def get(self, key: str) -> Value | None:
        """The value, unless it is too old."""
        known = self._entries.get(key)
        return known[1] if known and self._monotonic_s() - known[0] < REMEMBERED_S else None

    def put(self, key: str, value: Value) -> Value:
        """Remember, and forget the oldest when full."""
        self._entries[key] = (self._monotonic_s(), value)
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_REMEMBERED:
            self._entries.popitem(last=False)
        return value


class Directory:
    """Accounts and channels of one server. A passing fault is raised, never guessed over."""

    def __init__(self, api: Api, own_user_id: str) -> None:
        self._api = api
        self._own_user_id = own_user_id
        self._accounts: Remembered[Author] = Remembered()
        self._channels: Remembered[Channel] = Remembered()

    async def author(self, post: Post) -> Author:
        """The author by `user_id` and the account's `is_bot`; never by a name or by `props.from_bot`."""
        if post.user_id == self._own_user_id:
            return Author(post.user_id, AuthorKind.SELF)
        if post.type:
            return Author(post.user_id, AuthorKind.SYSTEM)
        if post.is_from_webhook:
            return Author(post.user_id, AuthorKind.WEBHOOK)
        author = self._accounts.get(post.user_id) or await self._look_up_account(post.user_id)
        is_program = author.kind is AuthorKind.PERSON and post.is_by_a_program
        return replace(author, kind=AuthorKind.BOT) if is_program else author

    async def channel(self, channel_id: str) -> Channel:
        """The channel; of one that the account may not see, only its id."""
        return self._channels.get(channel_id) or await self._look_up_channel(channel_id)

    def learn(self, channel: Channel) -> Channel:
        """Remember a channel that the server named by itself."""
        return self._channels.put(channel.id, channel)

    async def _look_up_account(self, user_id: str) -> Author:
        try:
            account = await self._api.users.get_user(user_id)
        except (Refused, NotAllowed):
            # Gone or hidden: it cannot be shown to be a person, so it must not wake anyone.
            log.info("mattermost: account %s is not visible", user_id)
            return self._accounts.put(user_id, Author(user_id, AuthorKind.SYSTEM))
        is_bot = isinstance(account, dict) and account.get("is_bot") is True
        name = str(account.get("username", ""))[:MAX_NAME_RUNES] if isinstance(account, dict) else ""
        kind = AuthorKind.BOT if is_bot else AuthorKind.PERSON
        return self._accounts.put(user_id, Author(user_id, kind, name))

    async def _look_up_channel(self, channel_id: str) -> Channel:
        try:
            return self.learn(parse_channel(await self._api.channels.get_channel(channel_id)))
        except (Refused, NotAllowed, MalformedFrame):
            return Channel(id=channel_id)


async def account_now(api: Api, user_id: str) -> AccountNow:
    """By `GET /users/{id}`, whose `delete_at` is set once an account is deactivated; one that was removed is not found."""
    try:
        account = await api.users.get_user(user_id)
    except Refused:
        return AccountNow("", is_active=False)
    if not isinstance(account, dict) or account.get("id") != user_id:
        raise FarSideFailed("an account could not be read")
    return AccountNow(
        str(account.get("username", ""))[:MAX_NAME_RUNES], is_active=not account.get("delete_at")
    )
