"""The service is down, or the wire lies about what came through: everything meant for it is answered once, in order."""

from __future__ import annotations

import random
import re

import pytest

from fleetprompt.sandbox.mattermost import SandboxUser, posting
from fleetprompt.sandbox.mattermost.announcing import announce
from tests import weather
from tests.house import ACME
from tests.town import Town, town
from tests.weather import said, stormy_town


def number(text: str) -> int:
    """What an answer answers."""
    found = re.search(r"n(\d+)", text)
    assert found is not None, text
    return int(found[1])


async def test_thirty_mentions_and_a_direct_message_are_answered_once_each_thread_in_order() -> None:
    async with stormy_town() as (play, _):
        threads = await _three_old_threads(play)
        asked = _a_busy_day(play, threads)
        with weather.running(play):
            await weather.heard(play, len(threads) + len(asked), 40)
            await play.settled()
        for thread in {*asked.values()}:
            wanted = [n for n, place in asked.items() if place == thread]
            got = [number(text) for root, text in said(play) if (root or "direct") == thread]
            assert [n for n in got if n >= 0 and n < 100] == wanted, thread
        assert play.doubled() == []


async def _three_old_threads(play: Town) -> list[str]:
    """Threads in two channels that the agent takes part in already."""
    sales = play.chat.create_channel("acme", "sales", "P")
    for user in (play.dana, play.bot):
        play.chat.add_to_channel(user, sales)
    places = [play.support, play.support, sales.id]
    with weather.running(play):
        roots = [play.chat.post(play.dana, place, f"@fleet n{i + 100}").id for i, place in enumerate(places)]
        await weather.heard(play, 3)
        await play.settled()
    return roots


def _a_busy_day(play: Town, roots: list[str]) -> dict[int, str]:
    """Thirty mentions mixed with what must wake nobody; number -> thread, "direct" for the direct message."""
    chat, dana = play.chat, play.dana
    direct = chat.direct_channel(dana, play.bot)
    asked: dict[int, str] = {}
    for n in range(30):
        _noise(play, roots, n)
        if n % 3 == 0:
            channel = random.Random(n).choice((play.support, "sales"))
            asked[n] = chat.post(dana, channel, f"@fleet n{n}").id
        else:
            asked[n] = roots[n % len(roots)]
            chat.post(dana, chat.find_post(asked[n]).channel_id, f"n{n} please, @Fleet.", root_id=asked[n])
    for n in (30, 31):
        asked[n] = "direct"
        chat.post(dana, direct, f"n{n}")
    return asked


def _noise(play: Town, roots: list[str], n: int) -> None:
    chat, dana = play.chat, play.dana
    for kind in (n % 6, (n + 3) % 6):
        match kind:
            case 0:
                chat.react(dana, roots[n % 3], f"emoji{n}")
            case 1:
                chat.post(dana, chat.find_post(roots[0]).channel_id, f"n{n} not for you", root_id=roots[0])
            case 2:
                chat.edit(roots[1], f"@fleet edited n{n}")
            case 3:
                chat.delete(chat.post(dana, play.support, f"@fleet taken back n{n}"))
            case 4:
                chat.post(
                    dana, play.support, f"@all @here @channel n{n} `@fleet` fleet@example.org @fleet-two"
                )
            case _:
                chat.post(dana, play.support, f"```\n@fleet n{n}\n```")


def _nothing_for_us(play: Town, known: str) -> None:
    """Each of these is on the channel, and none is a request."""
    chat, dana = play.chat, play.dana
    eve = chat.create_user("eve")
    chat.react(dana, known)
    chat.edit(known, "@fleet once more n1")
    plain = chat.post(dana, play.support, "nobody is meant n2")
    for word in ("all", "channel", "here"):
        chat.post(dana, play.support, f"@{word} n3")
    chat.post(dana, play.support, "call `@fleet` n4")
    chat.post(dana, play.support, "    @fleet n5")
    chat.post(dana, play.support, "a reply n6", root_id=known)
    chat.add_to_channel(eve, play.support, adder=dana)
    _system_post(play, eve, "system_header_change", "dana updated the header from: @fleet n7 to: n8")
    chat.delete(plain)
    chat.post(play.bot, play.support, "@fleet n9, says the bot itself")


def _system_post(play: Town, author: SandboxUser, kind: str, text: str) -> None:
    posting.create(play.chat.site, author, posting.Draft(play.support, text, type=kind, via="system"))


@pytest.mark.parametrize("is_up", [True, False], ids=["while it listens", "while it is down"])
async def test_nothing_else_wakes_it(is_up: bool) -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            known = play.ask("@fleet n0")
            await weather.heard(play, 1)
            if is_up:
                _nothing_for_us(play, known)
            else:
                await play.settled()
        if not is_up:
            _nothing_for_us(play, known)
        with weather.running(play):
            last = play.ask("@fleet n99")
            await play.answered(last)
            await play.settled()
        texts = [text for _, text in said(play) if text.startswith("You said")]
        assert [number(text) for text in texts] == [0, 99]
        runs = await play.house.tenant_rows(ACME, "select 1 from executions")
        assert len(runs) == 2
        told = await play.house.tenant_rows(
            ACME, "select distinct name from signals where name like 'chat.%'"
        )
        kinds = ("received", "edited", "deleted", "sent")
        assert {row["name"] for row in told} >= {f"chat.message.{kind}" for kind in kinds}


async def test_what_was_written_before_the_installation_is_history() -> None:
    async with stormy_town(install_it=False) as (play, _):
        for n in range(3):
            play.ask(f"@fleet n{n}")
        direct = play.chat.direct_channel(play.dana, play.bot)
        old = play.chat.post(play.dana, direct, "n3")
        await play.install()
        new = play.ask("@fleet n4")
        play.chat.edit(old, "n3, once more")
        with weather.running(play):
            await play.answered(new)
            play.chat.drop_connections()
            await weather.connected(play)
            await play.settled()
            await weather.heard(play, 1)


@pytest.mark.parametrize("remembered_s", [30.0, 0.01], ids=["the server remembers", "the server forgot"])
async def test_a_lost_answer_makes_no_second_post(remembered_s: float) -> None:
    """A real server remembers a `pending_post_id` for 30 s; a retry after 40 s finds it forgotten."""
    async with stormy_town() as (play, _):
        play.chat.site.pending.ttl_s = remembered_s
        direct = play.chat.direct_channel(play.dana, play.bot)
        with weather.running(play):
            play.chat.commit_then_drop(2)
            asked = play.ask("@fleet n0")
            play.chat.post(play.dana, direct, "n1")
            await play.answered(asked)
            await weather.heard(play, 2)
            await play.settled()
        assert len(said(play)) == 2
        assert play.doubled() == []
        await _all_succeeded(play)


async def test_a_lost_answer_makes_no_second_post_after_a_death_and_a_restart() -> None:
    """The retry comes from another process, to a server whose memory of 30 s is gone."""
    async with stormy_town() as (play, _):
        play.chat.commit_then_drop(1)
        with weather.running(play, fault="effect.performed") as service:
            asked = play.ask("@fleet n0")
            await weather.until(lambda: service.process.exitcode is not None)
        await play.chat.restart()
        with weather.running(play):
            await play.settled()
            await weather.heard(play, 1)
        assert [root for root, _ in said(play)] == [asked]
        await _all_succeeded(play)
        found = await play.house.tenant_rows(
            ACME, "select receipt->>'found' from effects where receipt ? 'found'"
        )
        assert [row[0] for row in found] == ["true"]


async def _all_succeeded(play: Town) -> None:
    for table in ("directives", "executions"):
        rows = await play.house.tenant_rows(ACME, f"select distinct state from {table}")
        assert [row[0] for row in rows] == ["succeeded"], table


async def test_frames_that_overtake_each_other_or_come_twice_change_nothing() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            play.chat.swap_frames(5)
            root = play.ask("@fleet n0")
            for n in range(1, 12):
                play.ask(f"@fleet n{n}", root_id=root)
                _repeat_last_frames(play)
            await weather.heard(play, 12, 30)
            await play.settled()
        assert sorted(number(text) for _, text in said(play)) == list(range(12))


def _repeat_last_frames(play: Town) -> None:
    """The same frames again, with their old numbers, and the last post announced once more under a new one."""
    site = play.chat.site
    for session in list(site.hub.sessions[play.bot.id].values()):
        for _, frame in list(session.sent)[-3:]:
            if session.socket:
                session.socket.send(frame)
    announce(site, play.dana, play.chat.posts(play.support)[-1], "")


async def test_a_town_without_a_model_key_answers_too() -> None:
    async with town() as play:
        with weather.running(play):
            asked = play.ask("@fleet where is order 1234?")
            await play.answered(asked)
        assert "no language model" in play.answers(asked)[0]
