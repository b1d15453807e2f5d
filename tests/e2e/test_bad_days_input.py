"""Whatever a member of the team can put into a post, or a server into a frame: answered or ignored, and readable."""

from __future__ import annotations

import json
from typing import Any

from fleetprompt.sandbox.mattermost import SandboxUser, posting
from fleetprompt.sandbox.mattermost.frames import Audience, Event
from tests import weather
from tests.house import ACME
from tests.town import Town
from tests.weather import said, stormy_town

LONGEST = 16383
WORDS = {
    "NUL": "a\x00b",
    "a lone surrogate": "a\ud800b \udfff",
    "bidi controls": "\u202eabc\u2066\u200f\u2069\u202c",
    "the longest post": "x" * (LONGEST - 20),
    "the longest post of big runes": "\U0001f600" * (LONGEST - 20),
    "brackets by the thousand": "[" * 8000,
    "ticks by the thousand": "`" * 7001 + " " + "``" * 3000,
    "line ends of all kinds": "a\r\nb\rc\u2028d\u0085e\x0cf",
    "combining marks": "e" + "\u0301" * 5000,
    "SQL and templates": "'; drop table signals; -- {{7*7}} ${HOME} %s \\x00 \\u0000",
    "nothing but the mention": "",
}


async def test_whatever_a_person_writes_is_answered_live_and_by_catch_up() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            live = {name: play.ask(f"@fleet {text}") for name, text in WORDS.items()}
            await play.answered(*live.values())
            await play.settled()
        nastiest = ("NUL", "a lone surrogate", "the longest post of big runes", "nothing but the mention")
        missed = {name: play.ask(f"@fleet {WORDS[name]}") for name in nastiest}
        with weather.running(play):
            await play.answered(*missed.values())
            await play.settled()
        assert len({root for root, _ in said(play)}) == len(live) + len(missed)
        await _rows_are_readable(play)


async def _rows_are_readable(play: Town) -> None:
    for table in (
        "signals",
        "messages",
        "executions",
        "directives",
        "effects",
        "execution_steps",
        "model_calls",
    ):
        for row in await play.house.tenant_rows(ACME, f"select * from {table}"):
            for value in row.values():
                json.dumps(value, default=str).encode("utf-8")


def deep(levels: int) -> Any:
    """A value nested so deep."""
    value: Any = "bottom"
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    return value


PROPS: dict[str, dict[str, Any]] = {
    "deep": {"deep": deep(400), "attachments": deep(300)},
    "attachments": {"attachments": [{"text": "@fleet n1"}, "no object", None, {"text": 7, "pretext": ["x"]}]},
    "forged": {
        "from_bot": "true",
        "override_username": "root",
        "fleetprompt_directive": "x",
        "from_webhook": 7,
    },
    "odd keys": {"": 1, "\x00": "\x00", "a\ud800": float("nan"), "big": 10**400},
}


async def test_odd_props_are_survived_and_the_mention_in_them_is_answered() -> None:
    async with stormy_town() as (play, _):
        play.chat.site.max_props_runes = 10**6
        with weather.running(play):
            await weather.connected(play)
            await _ask_with(play)
            await weather.heard(play, len(PROPS))
            await play.settled()
        await _ask_with(play)
        with weather.running(play):
            await weather.heard(play, 2 * len(PROPS))
            await play.settled()
        await _rows_are_readable(play)


async def _ask_with(play: Town) -> None:
    for name, props in PROPS.items():
        text = "see below" if name == "attachments" else f"@fleet {name}"
        play.chat.post(play.dana, play.support, text, props=props)


def frames_nobody_knows(play: Town) -> list[bytes | Event]:
    """As a newer server, a plugin or a broken proxy might send them."""
    place = Audience(channel_id=play.support)
    return [
        Event("custom_com.example.plugin_event", {"post": "{}", "x": deep(200)}, place),
        Event("posted", {"post": "no json"}, place),
        Event("posted", {"post": json.dumps({"id": 5})}, place),
        Event("posted", {}, place),
        Event("post_edited", {"post": "null"}, place),
        Event(
            "post_deleted",
            {"post": json.dumps({"id": "x" * 26, "channel_id": "c", "create_at": "late"})},
            place,
        ),
        Event("user_removed", {"user_id": play.bot.id}, Audience(user_id=play.bot.id)),
        Event("user_added", {"user_id": play.bot.id, "team_id": "t"}, Audience()),
        Event("", {}, place),
        b"",
        b"null",
        b"[]",
        b'{"event": 5, "seq": "x"}',
        b"\xff\xfe{",
        b"[" * 100_000,
    ]


async def test_frames_that_nobody_knows_stop_nothing() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            for n, frame in enumerate(frames_nobody_knows(play)):
                _inject(play, frame)
                play.ask(f"@fleet n{n}")
            await weather.heard(play, len(frames_nobody_knows(play)), 30)
            await play.settled()
        assert play.doubled() == []


def _inject(play: Town, frame: bytes | Event) -> None:
    for session in list(play.chat.site.hub.sessions.get(play.bot.id, {}).values()):
        if isinstance(frame, Event):
            session.push(frame)
        elif session.socket:
            session.socket.send(frame)


async def test_a_message_without_text_is_no_reason_to_fall_silent() -> None:
    async with stormy_town() as (play, _):
        direct = play.chat.direct_channel(play.dana, play.bot)
        with weather.running(play):
            await weather.connected(play)
            for text in ("", "   ", "\u200b"):
                play.chat.post(play.dana, direct, text)
                play.ask(f"@fleet{text}")
            play.chat.post(play.dana, direct, "still there?")
            await weather.until(lambda: any("still there?" in text for _, text in said(play)))
            await play.settled()
        states = await play.house.tenant_rows(ACME, "select distinct state from executions")
        assert [row[0] for row in states] == ["succeeded"]


async def test_who_somebody_says_to_be_proves_nothing() -> None:
    """`override_username`, `from_webhook` and the like are anybody's to set."""
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            for name in ("System", "fleet", "dana'; --"):
                _by_hook(play, play.dana, name)
                real = play.chat.post(play.dana, play.support, "@fleet n1", props={"override_username": name})
                await play.answered(real.id)
            await weather.heard(play, 3)


def _by_hook(play: Town, owner: SandboxUser, name: str) -> None:
    props = {"from_webhook": "true", "override_username": name}
    draft = posting.Draft(play.support, "@fleet n0", props=props, via="webhook")
    posting.create(play.chat.site, owner, draft)
