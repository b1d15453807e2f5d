"""What people read: long answers, words that would notify everybody, agents that are many, paused, tired or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection

from fleetprompt.composition import House, open_house
from fleetprompt.model.states import AgentState
from fleetprompt.runtime.agents.manage import create_agent, set_agent, set_agent_state
from fleetprompt.tenancy import TenantSession
from tests import weather
from tests.house import ACME
from tests.mattermost_sandbox import frame, websocket
from tests.openai_stub import Reply
from tests.stage import OPERATOR
from tests.town import Town
from tests.weather import said, stormy_town

MOST = 1000


async def manage(play: Town, act: Callable[[House, TenantSession], Awaitable[Any]]) -> None:
    """Do something as the command line does."""
    async with (
        open_house(play.settings, role="cli", migrate=False) as house,
        house.tenancy.session(ACME) as session,
    ):
        await act(house, session)


async def watched(socket: ClientConnection, author_id: str) -> list[dict[str, Any]]:
    """What a person's client gets, up to a post of that author."""
    frames: list[dict[str, Any]] = []
    while not frames or author_id not in str(frames[-1]["data"].get("post", "")):
        value = await frame(socket)
        frames += [value] if "event" in value else []
    return frames


async def test_a_long_answer_comes_in_parts_that_read_well() -> None:
    code = "\n".join(f"line_{n} = {n}" for n in range(120))
    text = f"Here it is:\n\n```python\n{code}\n```\n\nThat was all."
    async with stormy_town(install_it=False) as (play, stub):
        play.chat.site.max_post_runes = MOST
        await play.install()
        stub.rule(lambda request: Reply.says(text))
        with weather.running(play):
            await weather.connected(play)
            asked = play.ask("@fleet show me")
            await weather.until(lambda: "That was all." in "".join(play.answers(asked)))
            await play.settled()
        parts = play.answers(asked)
        assert len(parts) > 1
        assert all(len(part) <= MOST and part.count("```") % 2 == 0 for part in parts)
        lines = [line for part in parts for line in part.splitlines() if line.startswith("line_")]
        assert lines == code.splitlines()
        assert all("```python" in part for part in parts if "line_" in part)


async def test_an_answer_of_a_hundred_parts_is_cut_and_says_so() -> None:
    async with stormy_town(install_it=False) as (play, stub):
        play.chat.site.max_post_runes = MOST
        await play.install(max_posts_per_answer=3)
        stub.rule(lambda request: Reply.says("words and words " * 5000))
        with weather.running(play):
            asked = play.ask("@fleet talk")
            await weather.heard(play, 3)
            await play.settled()
        parts = play.answers(asked)
        assert "too long" in parts[-1]
        assert max(map(len, parts)) <= MOST


SHOUTS = (
    "@all @here @channel @dana, @Fleet! cc:@dana. (@all) **@channel** @​all `@dana` mail dana@example.org"
    " &#64;all &commat;here\n> @dana\n- @all\n[@dana](http://x.example/@dana) #@all ＠all"
)


async def test_nobody_is_notified_by_what_a_model_says() -> None:
    async with stormy_town() as (play, stub):
        stub.rule(lambda request: Reply.says(SHOUTS))
        async with websocket(play.chat, play.dana.token) as socket:
            with weather.running(play):
                await weather.connected(play, 2)
                asked = play.ask("@fleet say it")
                frames = await watched(socket, play.bot.id)
                await play.settled()
        posted = [frame for frame in frames if frame["event"] == "posted"]
        assert len(posted) == 2
        assert "mentions" not in posted[-1]["data"]
        assert "`@dana`" in play.answers(asked)[0]
        assert "dana@example.org" in play.answers(asked)[0]
        assert len(stub.requests) == 1


async def test_people_see_that_an_answer_is_being_written() -> None:
    async with stormy_town() as (play, stub):
        stub.rule(lambda request: Reply.says("done", delay_s=1.0))
        async with websocket(play.chat, play.dana.token) as socket:
            with weather.running(play):
                await weather.connected(play, 2)
                asked = play.ask("@fleet think")
                frames = await watched(socket, play.bot.id)
        typing = [frame for frame in frames if frame["event"] == "typing"]
        assert {frame["data"]["user_id"] for frame in typing} == {play.bot.id}
        assert {frame["data"]["parent_id"] for frame in typing} == {asked}


def _by_instructions(request: dict[str, Any]) -> Reply:
    """Say who was asked."""
    system = str(request["messages"][0]["content"])
    return Reply.says(f"I am {system.partition('You are ')[2].partition(',')[0]}.")


async def test_several_agents_share_one_bot() -> None:
    async with stormy_town(install_it=False) as (play, stub):
        stub.rule(_by_instructions)
        await manage(play, _make_triage)
        await play.install(agent="fleet", channel_agents={"sales": "Triage"})
        sales = play.chat.create_channel("acme", "sales")
        for user in (play.dana, play.bot):
            play.chat.add_to_channel(user, sales)
        with weather.running(play):
            await weather.connected(play)
            asked = play.ask("@fleet who?")
            named = play.ask("@fleet triage, who?")
            there = play.chat.post(play.dana, sales, "@fleet who?").id
            await play.answered(asked, named)
            play.ask("@fleet and now?", root_id=named)
            await weather.heard(play, 4)
            await play.settled()
        assert play.answers(asked) == ["I am fleet."]
        assert play.answers(named) == ["I am Triage."] * 2
        assert [text for root, text in said(play, "sales") if root == there] == ["I am Triage."]


async def _make_triage(house: House, session: TenantSession) -> None:
    await create_agent(session, house.registry, "Triage", OPERATOR)


async def test_a_paused_agent_says_so_in_one_sentence_and_answers_when_resumed() -> None:
    async with stormy_town() as (play, stub):
        with weather.running(play):
            await weather.connected(play)
            await manage(play, _pause)
            asked = play.ask("@fleet n0")
            await play.answered(asked)
            await manage(play, _resume)
            again = play.ask("@fleet n1")
            await play.answered(again)
            await play.settled()
        [sentence] = play.answers(asked)
        assert "paused" in sentence
        assert "n1" in play.answers(again)[0]
        assert len(stub.requests) == 1


async def _pause(house: House, session: TenantSession) -> None:
    await set_agent_state(session, house.registry, "fleet", OPERATOR, AgentState.PAUSED)


async def _resume(house: House, session: TenantSession) -> None:
    await set_agent_state(session, house.registry, "fleet", OPERATOR, AgentState.ACTIVE)


async def test_a_person_over_the_limit_is_told_once_and_others_are_served() -> None:
    async with stormy_town() as (play, _):
        eve = play.chat.create_user("eve")
        play.chat.add_to_channel(eve, play.support)
        await manage(play, _limit)
        with weather.running(play):
            await weather.connected(play)
            asked = [play.ask(f"@fleet n{n}") for n in range(2)]
            await play.answered(*asked)
            refused = [play.ask(f"@fleet n{n}") for n in range(2, 6)]
            other = play.chat.post(eve, play.support, "@fleet n6")
            await play.answered(other.id)
            await weather.heard(play, 4)
            await play.settled()
        sentences = [text for root in refused for text in play.answers(root)]
        assert len(sentences) == 1
        assert "very often" in sentences[0]


async def _limit(house: House, session: TenantSession) -> None:
    limits = {"limits": {"runs_per_person_per_hour": 2}}
    await set_agent(session, house.registry, "fleet", OPERATOR, limits)


def _always(reply: Reply, request: dict[str, Any]) -> Reply:
    return reply


async def test_a_model_that_fails_for_good_is_said_in_one_clear_sentence() -> None:
    async with stormy_town() as (play, stub):
        with weather.running(play):
            await weather.connected(play)
            for reply, word in (
                (Reply.unauthorized(), "administrator"),
                (Reply.refuses(), "not able"),
                (Reply.bad_request(), "administrator"),
            ):
                stub.rule(partial(_always, reply))
                asked = play.ask("@fleet n0")
                await play.answered(asked)
                [sentence] = play.answers(asked)
                assert word in sentence
                assert sentence.count(".") == 1
            await play.settled()
        states = await play.house.tenant_rows(ACME, "select distinct state from executions")
        assert [row[0] for row in states] == ["failed"]


async def test_a_model_that_fails_for_a_while_is_waited_for_once() -> None:
    async with stormy_town() as (play, stub):
        stub.script([Reply.server_error(), Reply.rate_limited(0.2), Reply.garbage(), Reply.resets()][:3])
        with weather.running(play):
            asked = play.ask("@fleet n0")
            await play.answered(asked)
            await play.settled()
        assert len(play.answers(asked)) == 1
        assert "n0" in play.answers(asked)[0]


async def test_two_paused_agents_do_not_tell_each_other_so_for_ever() -> None:
    async with stormy_town(install_it=False) as (play, _):
        await play.install(allowed_bots=["rival"])
        rival = play.chat.create_user("rival", is_bot=True)
        play.chat.add_to_channel(rival, play.support)
        await manage(play, _pause)
        with weather.running(play):
            await weather.connected(play)
            play.chat.post(rival, play.support, "@fleet n0")
            await play.answered(play.ask("@fleet n1"))
            await asyncio.sleep(0.3)
            assert len(said(play)) == 1
