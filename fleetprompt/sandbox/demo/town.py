"""The outside of the demo: a Mattermost with people in it, a mailbox, an order desk. All on loopback, in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from fleetprompt.sandbox.demo.faults import DemoFailed
from fleetprompt.sandbox.demo.place import Place
from fleetprompt.sandbox.mailbox import SandboxMailbox, Submission
from fleetprompt.sandbox.mattermost import LedgerEntry, Post, SandboxMattermost, SandboxUser
from fleetprompt.sandbox.mattermost.server import ChannelRef
from fleetprompt.sandbox.messages import Answer, Later, Request
from fleetprompt.sandbox.order_desk import OrderDesk

TEAM: Final = "demo"
CHANNEL: Final = "support"
AGENT: Final = "fleet"
YOU: Final = "you"
PEOPLE: Final = ("dana", "eli", YOU)
OTHER_BOT: Final = "shipbot"
MAILBOX: Final = "support@demo.example"
NOTICE: Final = "A draft waits for a person"
"""How the agent's account tells #support of a draft: that answers nobody."""
NOWHERE: Final = "http://127.0.0.1:9/"
"""Where the slash command leads until FleetPrompt says its address."""
LOOK_EVERY_S: Final = 0.02
PATIENCE_S: Final = 60.0


class Desk(OrderDesk):
    """An order desk that can keep one answer to itself: it places the hold, and the caller never learns of it."""

    def __init__(self) -> None:
        super().__init__()
        self.silent_about = ""
        self.kept_silent = asyncio.Event()

    def answer(self, request: Request) -> Answer:
        """As the order desk; but once about the order `silent_about` it does what is asked and does not say so."""
        answer = super().answer(request)
        if request.method == "POST" and request.path == f"/orders/{self.silent_about}/hold":
            self.silent_about = ""
            self.kept_silent.set()
            return Later(PATIENCE_S, lambda: answer)
        return answer


class Town:
    """The sandbox servers and who is there."""

    def __init__(self, place: Place) -> None:
        self.mattermost = SandboxMattermost(place.port, place.posts)
        self.mailbox = SandboxMailbox()
        self.desk = Desk()
        self._servers = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._servers.__aenter__()
        try:
            await self._servers.enter_async_context(self.mattermost)
            await self._servers.enter_async_context(self.mailbox)
            await self._servers.enter_async_context(self.desk)
        except OSError as error:
            raise DemoFailed(
                f"The sandbox cannot listen on loopback: {error.strerror}.", "Try again."
            ) from error
        self._settle()
        self.began_after = len(self.mattermost.ledger)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._servers.__aexit__(kind, error, trace)

    def _settle(self) -> None:
        """Everybody is in #support; idempotent."""
        server = self.mattermost
        server.create_team(TEAM)
        server.create_channel(TEAM, CHANNEL)
        for name in (*PEOPLE, AGENT, OTHER_BOT):
            server.create_user(name, is_bot=name in (AGENT, OTHER_BOT))
            server.add_to_channel(name, CHANNEL)
        server.direct_channel("eli", AGENT)
        self.slash = server.create_command("dana", TEAM, AGENT, NOWHERE)
        account = self.mailbox.create_account(MAILBOX)
        for folder in account.folders.values():  # it is another mailbox than in the last run, and says so
            folder.uid_validity = int(time.time())

    def open_door(self, address: str) -> None:
        """Send slash commands there."""
        self.mattermost.create_command("dana", TEAM, AGENT, address)

    @property
    def agent(self) -> SandboxUser:
        """The bot account that FleetPrompt speaks as."""
        return self.mattermost.user(AGENT)

    @property
    def is_agent_online(self) -> bool:
        """FleetPrompt's websocket stands."""
        sessions = self.mattermost.site.hub.sessions.get(self.agent.id, {})
        return any(session.socket is not None for session in sessions.values())

    def say(self, name: str, text: str, root: Post | None = None) -> Post:
        """Somebody writes in #support, or in a thread there."""
        return self.mattermost.post(name, CHANNEL, text, root_id=root.id if root else "")

    def tell_agent(self, name: str, text: str) -> Post:
        """Somebody writes a direct message to the agent."""
        return self.mattermost.post(name, self.mattermost.direct_channel(name, AGENT), text)

    def posts(self, channel: ChannelRef) -> list[Post]:
        """What people and bots wrote there since this run began, in order."""
        ids = {entry.post_id for entry in self.mattermost.ledger[self.began_after :]}
        return [post for post in self.mattermost.posts(channel) if post.id in ids]

    def name_of(self, user_id: str) -> str:
        """The account's name."""
        return self.mattermost.user(user_id).username

    def answers(self) -> list[LedgerEntry]:
        """What the agent has answered since this run began, in order of arrival."""
        return [entry for entry in self._of_agent() if not entry.message.startswith(NOTICE)]

    def notices(self) -> list[str]:
        """What #support was told of drafts since this run began."""
        return [entry.message for entry in self._of_agent() if entry.message.startswith(NOTICE)]

    def letters(self) -> list[Submission]:
        """The mails that left, in order."""
        return [one for one in self.mailbox.submissions if one.sent is not None]

    def _of_agent(self) -> list[LedgerEntry]:
        agent_id = self.agent.id
        return [entry for entry in self.mattermost.ledger[self.began_after :] if entry.user_id == agent_id]


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something to become true. Raises DemoFailed, naming what did not."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise DemoFailed(f"Waited {PATIENCE_S:.0f} s in vain for {what}.")
        await asyncio.sleep(LOOK_EVERY_S)
