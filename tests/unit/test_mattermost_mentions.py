"""Who is addressed, by the server's grammar."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.mattermost.mentions import mentions
from adapters.mattermost.parse import parse_post

FIXTURES = Path(__file__).parent.parent / "fixtures" / "mattermost"
BOT = "atf3fda4xpya7bshs8amaa3mbh"
SERVER_SAYS = [
    (frame["data"]["post"], BOT in frame["data"].get("mentions", ""))
    for frame in json.loads((FIXTURES / "websocket.json").read_text())
    if frame.get("event") == "posted" and frame["data"]["channel_type"] != "D"
]


@pytest.mark.parametrize(("post", "named"), SERVER_SAYS)
def test_our_reading_is_the_servers_for_every_recorded_post(post: str, named: bool) -> None:
    parsed = parse_post(post)
    is_broadcast = "@all" in parsed.message or "@channel" in parsed.message
    is_system = parsed.type != ""  # named because it was added, not because it was called
    expected = named and not is_broadcast and not is_system
    assert mentions("fleet", [parsed.message]) is expected


@pytest.mark.parametrize(
    "text",
    [
        "@fleet",
        "hi @FLEET!",
        "(@fleet)",
        "@fleet's turn",
        "cc:@fleet.",
        "x.@fleet",
        "@fleet_ and",
        "**@fleet** please",
        "_@fleet_",
        "# @fleet",
        "> @fleet",
        "- @fleet",
        "[@fleet](https://example.org)",
        "<b>@fleet</b>",
        "line\n@fleet\nline",
        r"\@fleet",
        "`code` @fleet",
        "/@fleet/",
        "@fleet...",
        "@fleet\u0301",
        "é@fleet"[1:],
        "日本 @fleet 語",
    ],
)
def test_these_mention(text: str) -> None:
    assert mentions("fleet", [text])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fleet",
        "`@fleet`",
        "```\n@fleet\n```",
        "~~~\n@fleet",
        "    @fleet",
        "@fleet-two",
        "@fleet2",
        "@fleets",
        "fleet@example.org",
        "x@fleet",
        "@fleet@dana",
        ":@fleet:",
        "https://example.org/@fleet",
        "[x](https://example.org/@fleet)",
        "@all @here @channel",
        "@fleet.two",
        "@ fleet",
    ],
)
def test_these_do_not(text: str) -> None:
    assert not mentions("fleet", [text])


def test_a_name_may_end_in_a_mark() -> None:
    assert mentions("fleet.", ["ask @fleet. now"])
    assert mentions("fleet-two", ["ask @fleet-two."])


def test_attachment_texts_count() -> None:
    post: Any = {
        "id": "p",
        "channel_id": "c",
        "create_at": 1,
        "props": {"attachments": [{"pretext": "@fleet look"}]},
    }
    assert mentions("fleet", parse_post(post).attachment_texts)


@pytest.mark.parametrize("filler", ["[", "`", "> ", "![", "*", "@fleet[", "- ", "\\", "<", "&amp;", "``` "])
def test_the_longest_hostile_message_is_read_quickly(filler: str) -> None:
    text = (filler * 16383)[:16370] + " @fleet"
    began = time.process_time()
    mentions("fleet", [text])
    assert time.process_time() - began < 1
