"""The far sides over which the adapter contract is tested: each lets a person act and the account speak."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from adapters.contract import Adapter, Inbound, LooksUp, Observer, Place
from adapters.errors import OutcomeUnknown
from adapters.mattermost import MattermostAdapter, MattermostSettings, Pace
from adapters.memory import Fault, MemoryAdapter, MemoryServer
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.mail_stage import MailStage

QUICK = Pace(
    read_timeout_s=5,
    read_retries=2,
    backoff_first_s=0.05,
    backoff_most_s=0.3,
    ping_interval_s=5,
    pong_timeout_s=5,
    hello_timeout_s=3,
)


class AnyAdapter(Adapter, LooksUp, Protocol):
    """What all of them offer."""


class Stage(Protocol):
    """One server with a person (dana), an account (fleet), a channel and their direct channel.

    credential_line: which line of `check` tells of a bad credential.
    """

    max_runes: int
    account_name: str
    credential_line: str

    def needs(self, what: str) -> None:
        """Skip the test where the far side has no edits, typing, closing or direct messages."""
        ...

    def person_id(self) -> str: ...

    def adapter(self, observer: Observer | None = None, *, good: bool = True) -> AnyAdapter: ...
    def elsewhere(self) -> AnyAdapter: ...
    def place(self, *, direct: bool = False, thread_id: str = "") -> Place: ...
    def says(self, text: str, *, direct: bool = False, thread_id: str = "") -> str: ...
    def edits(self, message_id: str, text: str) -> None: ...
    def deletes(self, message_id: str) -> None: ...
    def lose_next_answer(self) -> None: ...
    def close_channel(self) -> None: ...
    def spoken(self) -> list[str]: ...


class MemoryStage:
    """Over the reference adapter."""

    account_name, credential_line = "fleet", "token"

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.max_runes = self.server.max_text_runes
        self._said: dict[str, Inbound] = {}

    def needs(self, what: str) -> None:
        """It has all."""

    def person_id(self) -> str:
        return "dana"

    def adapter(self, observer: Observer | None = None, *, good: bool = True) -> AnyAdapter:
        return MemoryAdapter(self.server, observer, credential="good" if good else "bad")

    def elsewhere(self) -> AnyAdapter:
        return MemoryAdapter(MemoryServer())

    def place(self, *, direct: bool = False, thread_id: str = "") -> Place:
        return Place("dm" if direct else "support", "direct" if direct else "public", thread_id)

    def says(self, text: str, *, direct: bool = False, thread_id: str = "") -> str:
        said = self.server.says(text, self.place(direct=direct, thread_id=thread_id))
        self._said[said.external_id] = said
        return said.external_id

    def edits(self, message_id: str, text: str) -> None:
        self.server.edits(self._said[message_id], text)

    def deletes(self, message_id: str) -> None:
        self.server.deletes(self._said[message_id])

    def lose_next_answer(self) -> None:
        self.server.faults.append(Fault(OutcomeUnknown("lost"), committed=True))

    def close_channel(self) -> None:
        self.server.closed_channels.add("support")

    def spoken(self) -> list[str]:
        return [self.server.texts[f"s{number}"] for number in range(len(self.server.sent))]


class MattermostStage:
    """Over the sandbox server."""

    max_runes = 16383
    account_name, credential_line = "fleet", "token"

    def __init__(self, server: SandboxMattermost, other: SandboxMattermost, pace: Pace = QUICK) -> None:
        self.server, self.other, self.pace = server, other, pace
        self.bot = server.create_user("fleet", is_bot=True)
        self.dana = server.create_user("dana")
        team = server.create_team("acme")
        self.support = server.create_channel(team, "support")
        server.add_to_channel(self.bot, self.support)
        server.add_to_channel(self.dana, self.support)
        self.direct = server.direct_channel(self.dana, self.bot)

    def needs(self, what: str) -> None:
        """It has all."""

    def person_id(self) -> str:
        return self.dana.id

    def adapter(self, observer: Observer | None = None, *, good: bool = True) -> MattermostAdapter:
        token = self.bot.token if good else "wrong" + self.bot.token
        return MattermostAdapter(
            MattermostSettings(self.server.url, token, "acme", start_at_ms=1, pace=self.pace), observer
        )

    def elsewhere(self) -> MattermostAdapter:
        bot = self.other.create_user("fleet", is_bot=True)
        self.other.add_to_team(bot, self.other.create_team("acme"))
        return MattermostAdapter(MattermostSettings(self.other.url, bot.token, "acme", pace=self.pace))

    def place(self, *, direct: bool = False, thread_id: str = "") -> Place:
        channel = self.direct if direct else self.support
        return Place(channel.id, "direct" if direct else "public", thread_id)

    def says(self, text: str, *, direct: bool = False, thread_id: str = "") -> str:
        channel = self.direct if direct else self.support
        return self.server.post(self.dana, channel, text, root_id=thread_id).id

    def edits(self, message_id: str, text: str) -> None:
        self.server.edit(message_id, text)

    def deletes(self, message_id: str) -> None:
        self.server.delete(message_id)

    def lose_next_answer(self) -> None:
        self.server.commit_then_drop(1)

    def close_channel(self) -> None:
        self.server.archive_channel(self.support)

    def spoken(self) -> list[str]:
        posts = self.server.posts()
        return [post.message for post in posts if post.user_id == self.bot.id and not post.type]


@asynccontextmanager
async def open_stage(name: str) -> AsyncIterator[Stage]:
    """The stage of an adapter by its name."""
    if name == "memory":
        yield MemoryStage()
        return
    if name == "proton_mail":
        async with SandboxMailbox() as mailbox, SandboxMailbox() as another:
            yield MailStage(mailbox, another)
        return
    async with SandboxMattermost() as server, SandboxMattermost() as other:
        yield MattermostStage(server, other)
