"""A far side for whole-service tests: a sandbox Mattermost with people, an order desk, and acme installed on both.

globex is there too and must see nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fleetprompt.composition import open_house
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import install
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.sandbox.mattermost import SandboxMattermost, SandboxUser
from fleetprompt.sandbox.order_desk import OrderDesk
from fleetprompt.settings import Settings
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.serving import service_settings
from tests.stage import OPERATOR


@dataclass
class Town:
    """Who there is, and what was seen."""

    house: House
    chat: SandboxMattermost
    desk: OrderDesk
    dana: SandboxUser
    bot: SandboxUser
    support: str
    settings: Settings

    def ask(self, text: str, root_id: str = "") -> str:
        """Dana writes in #support; returns the post's id."""
        return self.chat.post(self.dana, self.support, text, root_id=root_id).id

    def answers(self, root_id: str) -> list[str]:
        """What the bot wrote in a thread."""
        posts = self.chat.posts(self.support)
        return [post.message for post in posts if post.root_id == root_id and post.user_id == self.bot.id]

    async def answered(self, *roots: str, timeout_s: float = 30) -> None:
        """Wait until each of these threads has an answer."""
        async with asyncio.timeout(timeout_s):
            while not all(self.answers(root) for root in roots):
                await asyncio.sleep(0.05)

    async def install(self, **config: object) -> None:
        """acme gets its agent and its bot; for a town that was made without."""
        await _install(self, **config)

    async def settled(self, timeout_s: float = 30) -> None:
        """Wait until no job is left, then make sure that nothing of globex was touched."""
        async with asyncio.timeout(timeout_s):
            while await self.house.value("select count(*) from public.job where kind not like '%.expire'"):
                await asyncio.sleep(0.05)
        for table in ("signals", "directives", "executions", "messages"):
            assert not await self.house.tenant_rows(GLOBEX, f"select 1 from {table}"), table

    def doubled(self) -> list[str]:
        """Directive keys that the chat's ledger holds more than once."""
        keys = Counter(entry.props["fleetprompt_directive"] for entry in self.chat.ledger if entry.props)
        return [key for key, count in keys.items() if count > 1]


@contextlib.asynccontextmanager
async def town(
    *, install_it: bool = True, house: AbstractAsyncContextManager[House] | None = None, **settings: object
) -> AsyncIterator[Town]:
    """Everything installed; the service itself is the test's to start. house: another than a fresh one."""
    async with house or fresh_house() as home, SandboxMattermost() as chat, OrderDesk() as desk:
        dana, bot = chat.create_user("dana"), chat.create_user("fleet", is_bot=True)
        team = chat.create_team("acme")
        support = chat.create_channel(team, "support")
        for user in (dana, bot):
            chat.add_to_team(user, team)
            chat.add_to_channel(user, support)
        play = Town(home, chat, desk, dana, bot, support.id, service_settings(home.url, desk.url, **settings))
        if install_it:
            await _install(play)
        yield play


async def _install(play: Town, **config: object) -> None:
    async with open_house(play.settings, role="cli", migrate=False) as house:
        async with house.tenancy.session(ACME) as session:
            tools = sorted(house.registry.tools)
            await create_agent(session, house.registry, "fleet", OPERATOR, tools=tools)
        packages = house.services.packages
        asked = await install(
            packages,
            ACME,
            "mattermost",
            config={"server_url": play.chat.url, "team": "acme", **config},
            secrets={"bot_token": Secret(play.bot.token)},
            actor=OPERATOR,
        )
        ended = await run_now(packages, ACME, asked.directive_id, 20)
        assert ended.state == "succeeded", ended
