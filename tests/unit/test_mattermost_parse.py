"""Frames and posts, from the recorded traffic of a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import EventKind
from adapters.mattermost.decode import MAX_DEPTH, MalformedJson, decode
from adapters.mattermost.normalise import live_happening
from adapters.mattermost.parse import (
    MAX_FULL_RUNES,
    Frame,
    MalformedFrame,
    parse_channel,
    parse_frame,
    parse_post,
    posts_in,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "mattermost"
FRAMES: list[dict[str, Any]] = json.loads((FIXTURES / "websocket.json").read_text())
PAIRS: list[dict[str, Any]] = json.loads((FIXTURES / "rest.json").read_text())


def recorded(note: str) -> Any:
    """The answer to the recorded request with this note."""
    return next(pair["json"] for pair in PAIRS if pair["note"] == note)


def frames() -> list[Frame]:
    parsed = [parse_frame(json.dumps(frame).encode()) for frame in FRAMES]
    return [frame for frame in parsed if frame]


def posted_frame(**post: Any) -> Frame:
    body = {"id": "p", "channel_id": "c", "user_id": "u", "create_at": 5, **post}
    raw = json.dumps({"event": "posted", "seq": 1, "data": {"post": json.dumps(body)}}).encode()
    frame = parse_frame(raw)
    assert frame is not None
    return frame


def test_every_recorded_frame_is_read_and_the_answer_to_a_client_frame_is_no_event() -> None:
    assert len(frames()) == len(FRAMES) - 1
    assert [frame.seq for frame in frames()] == list(range(36))


def test_recorded_frames_become_messages_edits_and_deletions_and_nothing_else() -> None:
    told = [happening for frame in frames() if (happening := live_happening(frame))]
    kinds = [happening.kind for happening in told]
    assert kinds.count(EventKind.MESSAGE) == sum(
        frame["event"] == "posted" for frame in FRAMES if "event" in frame
    )
    assert kinds.count(EventKind.EDITED) == 2
    assert kinds.count(EventKind.DELETED) == 1


def test_the_same_edit_has_the_same_key_live_and_in_catch_up() -> None:
    live = {h.key for frame in frames() if (h := live_happening(frame))}
    assert "edited:bwjtdowqpjdqzgdwzgewd9g7ow:1795262165839" in live
    posts, _ = posts_in(recorded("catch-up: posts since"), only_ordered=False)
    edited = next(post for post in posts if post.id == "bwjtdowqpjdqzgdwzgewd9g7ow")
    assert edited.delete_at > 0


def test_a_page_keeps_to_its_order_and_leaves_out_roots_that_came_along() -> None:
    page = recorded("catch-up: posts after id")
    posts, skipped = posts_in(page, only_ordered=True)
    assert [post.id for post in posts] == page["order"]
    assert skipped == 0
    assert len(posts_in(page, only_ordered=False)[0]) > len(posts)


def test_one_malformed_post_does_not_spoil_its_page() -> None:
    page = {
        "order": ["a", "b"],
        "posts": {"a": {"id": 7}, "b": {"id": "b", "channel_id": "c", "create_at": 1}},
    }
    posts, skipped = posts_in(page, only_ordered=True)
    assert ([post.id for post in posts], skipped) == (["b"], 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"event":"posted"}',
        b'{"event":1,"seq":1}',
        b'{"seq":"1"}',
    ],
)
def test_what_is_no_frame_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(raw)


@pytest.mark.parametrize(
    "post", [None, 7, "", "[]", '{"id":""}', '{"id":"a","channel_id":"c","create_at":"soon"}']
)
def test_what_is_no_post_is_refused_and_not_quoted(post: Any) -> None:
    with pytest.raises(MalformedFrame) as refused:
        parse_post(post)
    assert "soon" not in str(refused.value)


ENDLESS = "x" * 5000


@pytest.mark.parametrize(
    "poison",
    [
        {"create_at": 2**70},
        {"create_at": 2**53},
        {"create_at": -1},
        {"edit_at": 2**70},
        {"delete_at": 2**70},
        {"id": ENDLESS},
        {"id": "../users/me"},
        {"id": "p\n"},
        {"channel_id": ENDLESS},
        {"root_id": ENDLESS},
        {"user_id": ENDLESS},
        {"original_id": "A B"},
        {"type": ENDLESS},
        {"message": "x" * 70_000},
    ],
)
def test_a_post_beyond_all_bounds_is_refused(poison: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame):
        live_happening(posted_frame(**poison))


@pytest.mark.parametrize(
    "poison", [{"last_post_at": 2**70}, {"team_id": ENDLESS}, {"name": ENDLESS}, {"id": "a/b"}]
)
def test_a_channel_beyond_all_bounds_is_refused(poison: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame):
        parse_channel({"id": "c", "type": "O", **poison})


@pytest.mark.parametrize("seq", ["-1", "true", "1180591620717411303424", "1.5"])
def test_a_count_that_is_none_is_refused(seq: str) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(b'{"event":"posted","seq":%s,"data":{}}' % seq.encode())


def test_a_page_whose_order_is_senseless_is_read_without_it() -> None:
    page: dict[str, Any] = {
        "order": [[], None, {"a": 1}, "b"],
        "posts": {"b": {"id": "b", "channel_id": "c", "create_at": 1}},
    }
    assert [post.id for post in posts_in(page, only_ordered=True)[0]] == ["b"]


def test_attachments_make_no_text_without_end() -> None:
    happening = live_happening(posted_frame(props={"attachments": [{"text": "x" * 10**6}] * 3}))
    assert happening is not None
    assert len(happening.post.full_text) == MAX_FULL_RUNES


def test_nul_and_lone_surrogates_are_replaced_and_bidi_controls_stay() -> None:
    frame = posted_frame(message="a\x00b\ud800c\u202ed \U0001f600")
    happening = live_happening(frame)
    assert happening is not None
    assert happening.post.message == "a\ufffdb\ufffdc\u202ed \U0001f600"
    happening.post.message.encode("utf-8")


def test_json_nested_by_thousands_is_cut_and_the_message_stays_readable() -> None:
    deep = '{"a":' * 30_000 + "1" + "}" * 30_000
    value = decode('{"props":{"x":' + deep + '},"message":"still [here] \\" {"}')
    assert value["message"] == 'still [here] " {'
    depth, inner = 0, value["props"]["x"]
    while isinstance(inner, dict):
        inner, depth = inner["a"], depth + 1
    assert depth <= MAX_DEPTH


def test_a_post_with_deep_props_is_read() -> None:
    body = (
        '{"id":"p","channel_id":"c","create_at":1,"message":"hi","props":{"x":'
        + "[" * 20_000
        + "]" * 20_000
        + "}}"
    )
    assert parse_post(body).message == "hi"


def test_sixteen_thousand_runes_survive() -> None:
    text = "é😀" * 8191 + "x"
    happening = live_happening(posted_frame(message=text))
    assert happening is not None
    assert happening.post.message == text


def test_malformed_json_is_not_quoted() -> None:
    with pytest.raises(MalformedJson) as refused:
        decode('{"secret": ')
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "props", [None, [], "x", {"attachments": "x"}, {"attachments": [None, {"text": 7}, {"text": ""}]}]
)
def test_senseless_props_count_as_none(props: Any) -> None:
    happening = live_happening(posted_frame(message="m", props=props))
    assert happening is not None
    assert happening.post.full_text == "m"


def test_the_recorded_file_is_listed() -> None:
    files = [h.post.files for frame in frames() if (h := live_happening(frame)) and h.post.files]
    assert [(item["name"], item["size"]) for item in files[0]] == [("report.csv", 26)]


def test_a_pin_or_a_link_preview_is_no_edit() -> None:
    raw = json.dumps(
        {
            "event": "post_edited",
            "seq": 1,
            "data": {"post": json.dumps({"id": "p", "channel_id": "c", "create_at": 1})},
        }
    )
    frame = parse_frame(raw.encode())
    assert frame is not None
    assert live_happening(frame) is None
