"""Bots among themselves, several installations in one process, and accounts that are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fleetprompt.composition import open_house
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.lifecycle import install
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.sandbox.mattermost import SandboxMattermost, SandboxUser
from fleetprompt.sandbox.mattermost.site import IN_FLIGHT
from tests import weather
from tests.house import ACME, GLOBEX
from tests.stage import OPERATOR
from tests.town import Town
from tests.weather import said, stormy_town

HANGING_S = 40.0


@dataclass
class Neighbours:
    """acme's town, and globex with a bot of its own on some server."""

    play: Town
    rival: SandboxUser
    chat: SandboxMattermost


async def settle(play: Town, chat: SandboxMattermost, bot: SandboxUser, **more: Any) -> Ended:
    """Install a bot; `tenant`, `name`, and whatever else is configuration."""
    tenant: TenantSlug = more.pop("tenant", GLOBEX)
    name: str = more.pop("name", "")
    async with open_house(play.settings, role="cli", migrate=False) as house:
        packages = house.services.packages
        async with house.tenancy.session(tenant) as session:
            if tenant == GLOBEX:
                with contextlib.suppress(Exception):
                    await create_agent(session, house.registry, "rival", OPERATOR)
        config = {"server_url": chat.url, "team": "acme", **more}
        secrets = {"bot_token": Secret(bot.token)}
        asked = await install(
            packages, tenant, "mattermost", config=config, secrets=secrets, actor=OPERATOR, name=name
        )
        return await run_now(packages, tenant, asked.directive_id, 20)


def move_in(chat: SandboxMattermost) -> SandboxUser:
    """globex' bot, in #support."""
    rival = chat.create_user("rival", is_bot=True)
    chat.add_to_channel(rival, "support")
    return rival


@contextlib.asynccontextmanager
async def neighbours(allowed: list[str]) -> AsyncIterator[Neighbours]:
    """Two organizations' bots on one server, which may or may not wake each other."""
    async with stormy_town(install_it=False) as (play, _):
        await play.install(allowed_bots=allowed)
        rival = move_in(play.chat)
        assert (await settle(play, play.chat, rival, allowed_bots=allowed)).succeeded
        yield Neighbours(play, rival, play.chat)


def _written(town: Neighbours, channel: str) -> list[str]:
    posts = town.chat.posts(channel)
    return [post.user_id for post in posts if post.user_id in (town.rival.id, town.play.bot.id)]


@pytest.mark.parametrize("allowed", [[], ["fleet", "rival"]], ids=["by default", "on the allow-list"])
async def test_two_bots_alone_in_a_conversation_come_to_an_end(allowed: list[str]) -> None:
    async with neighbours(allowed) as both:
        play = both.play
        direct = play.chat.direct_channel(play.bot, both.rival)
        with weather.running(play):
            await weather.connected(play, 2)
            play.chat.post(both.rival, direct, "good morning, who starts?")
            wanted = 1 + (6 if allowed else 0)
            await weather.until(lambda: len(_written(both, direct.id)) >= wanted)
            await asyncio.sleep(1.0)
            assert len(_written(both, direct.id)) == wanted
            await _a_person_starts_them_again(both, allowed)
        stopped = await play.house.tenant_rows(
            ACME, "select 1 from signals where name = 'agent.loop.stopped'"
        )
        assert bool(stopped) == bool(allowed)


async def _a_person_starts_them_again(both: Neighbours, allowed: list[str]) -> None:
    """Turns are counted in a thread; a person who speaks there gives three more."""
    play, rival = both.play, both.rival
    root = play.ask("let us see")
    answers = 0
    for turn in range(5):
        play.chat.post(rival, play.support, f"@fleet turn {turn}", root_id=root)
        answers = min(answers + 1, 3) if allowed else 0
        await _answers(play, root, answers)
    await asyncio.sleep(0.5)
    assert len(play.answers(root)) == answers
    play.ask("go on", root_id=root)
    play.chat.post(rival, play.support, "@fleet and on", root_id=root)
    if allowed:
        await _answers(play, root, 4)


async def _answers(play: Town, root: str, count: int) -> None:
    await weather.until(lambda: len(play.answers(root)) >= count)


async def test_webhooks_wake_nobody_whatever_they_call_themselves() -> None:
    async with neighbours(["fleet", "rival", "dana"]) as both:
        play = both.play
        props = {"from_webhook": "true", "override_username": "rival"}
        with weather.running(play):
            await weather.connected(play, 2)
            play.chat.post(play.dana, play.support, "@fleet n0", props=props)
            play.chat.post(both.rival, play.support, "@fleet n1", props=props)
            await play.answered(play.ask("@fleet n2"))
            await weather.heard(play, 1)


async def test_one_account_serves_one_installation_of_anybody() -> None:
    async with stormy_town() as (play, _):
        for tenant, name in ((ACME, "second"), (GLOBEX, "")):
            ended = await settle(play, play.chat, play.bot, tenant=tenant, name=name)
            assert (ended.state, ended.error_code) == ("failed", "conflict")
            assert "in use already" in str(ended.error)
            assert ("this organization" in str(ended.error)) == (tenant == ACME)
            assert "acme" not in str(ended.error)
        with weather.running(play):
            await weather.connected(play)
            asked = play.ask("@fleet n0")
            await play.answered(asked)
            await weather.heard(play, 1)
        rows = await play.house.rows("select tenant from public.connections")
        assert [row["tenant"] for row in rows] == [ACME]


async def test_a_slow_server_of_one_delays_no_answer_of_another() -> None:
    """More answers hang at the slow one than a worker has slots."""
    async with stormy_town() as (play, _), SandboxMattermost() as far:
        rival = _second_server(far)
        assert (await settle(play, far, rival)).succeeded
        with weather.running(play, worker_slots=8):
            await weather.connected(play)
            await weather.until(lambda: far.site.hub.sessions)
            play.chat.delay_posts(16, HANGING_S)
            for n in range(16):
                play.ask(f"@fleet n{n}")
            await weather.until(lambda: len(_hanging(play)) >= 5)
            asked = far.post("erin", "support", "@rival n99")
            await weather.until(lambda: asked.id in {post.root_id for post in far.posts()})
            assert said(play) == []
        await _each_sees_its_own(play)


def _hanging(play: Town) -> list[str]:
    """Posts that the slow server has, and has not answered."""
    pending = play.chat.site.pending
    return [key for key in pending._posts if pending.get(key) == IN_FLIGHT]


async def test_a_frozen_server_of_one_is_no_concern_of_another() -> None:
    async with stormy_town() as (play, _), SandboxMattermost() as far:
        rival = _second_server(far)
        assert (await settle(play, far, rival)).succeeded
        with weather.running(play):
            await weather.connected(play)
            await weather.until(lambda: far.site.hub.sessions)
            play.chat.freeze(60)
            play.ask("@fleet n0")
            asked = far.post("erin", "support", "@rival n99")
            await weather.until(lambda: asked.id in {post.root_id for post in far.posts()})
            assert said(play) == []
            play.chat.thaw()
            await weather.heard(play, 1, 40)
        await _each_sees_its_own(play)


def _second_server(far: SandboxMattermost) -> SandboxUser:
    team = far.create_team("acme")
    support = far.create_channel(team, "support")
    far.add_to_channel(far.create_user("erin"), support)
    return move_in(far)


async def _each_sees_its_own(play: Town) -> None:
    for tenant, word, other in ((ACME, "n0", "n99"), (GLOBEX, "n99", "n0")):
        rows = await play.house.tenant_rows(tenant, "select text from messages")
        texts = " ".join(row["text"] for row in rows)
        assert f"{word}" in texts.split()
        assert f"{other}" not in texts.split()
