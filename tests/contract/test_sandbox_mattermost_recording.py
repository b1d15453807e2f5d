"""The sandbox answers each recorded request and sends each recorded frame as the real server did."""

from __future__ import annotations

import asyncio

import pytest

from tests.mattermost_recording import (
    Replay,
    comparable,
    equal_times,
    fields,
    play,
    recorded_callbacks,
    recorded_frames,
    recorded_pairs,
    trigger_parts,
)

PAIRS = recorded_pairs()
FRAMES = recorded_frames()


@pytest.fixture(scope="module")
def replay() -> Replay:
    return asyncio.run(play())


def _pair_name(index: int) -> str:
    note = PAIRS[index]["note"] or PAIRS[index]["request"]["path"].rpartition("/")[2]
    return f"{index}-{note[:40]}".replace("\n", " ")


@pytest.mark.parametrize("index", range(len(PAIRS)), ids=_pair_name)
def test_a_recorded_request_gets_the_recorded_answer(index: int, replay: Replay) -> None:
    recorded, answer = PAIRS[index], replay.answers[index]
    assert answer.status_code == recorded["status"]
    assert answer.headers["content-type"] == recorded["headers"]["content-type"]
    assert answer.headers["x-version-id"] == recorded["headers"]["x-version-id"]
    expected = replay.names.with_our_ids(recorded["json"])
    assert comparable(answer.json()) == comparable(expected)
    assert equal_times(expected) <= equal_times(answer.json())


@pytest.mark.parametrize("index", range(len(PAIRS)), ids=_pair_name)
def test_fields_come_in_the_recorded_order(index: int, replay: Replay) -> None:
    """Not that JSON cares: a missing or invented field shows best so, and a diff of both stays readable."""
    recorded, ours = PAIRS[index]["json"], replay.answers[index].json()
    if isinstance(recorded, dict):
        assert list(ours) == list(recorded)


@pytest.mark.parametrize("index", range(len(FRAMES)), ids=lambda i: f"{i}-{FRAMES[i].get('event', 'answer')}")
def test_a_recorded_frame_comes_in_its_place(index: int, replay: Replay) -> None:
    ours, recorded = dict(replay.frames[index]), dict(FRAMES[index])
    ours.pop("seq", None), recorded.pop("seq", None)
    expected = replay.names.with_our_ids(recorded)
    assert comparable(ours) == comparable(expected)
    assert equal_times(expected) <= equal_times(ours)


@pytest.mark.parametrize("path", [callback["path"] for callback in recorded_callbacks()])
def test_a_recorded_callback_is_sent(path: str, replay: Replay) -> None:
    """Method, headers and body, the trigger's signature aside, which nobody but the server can make or check."""
    recorded = next(one for one in recorded_callbacks() if one["path"] == path)
    ours = replay.called[path]
    assert ours.method == recorded["method"]
    expected = replay.names.with_our_ids(recorded["headers"])
    assert {name: ours.headers[name.lower()] for name in expected} == expected
    body, recorded_body = fields(ours.body.decode()), fields(recorded["body"])
    assert list(body) == list(recorded_body)
    triggers = [trigger_parts(one.pop("trigger_id", None)) for one in (recorded_body, body)]
    replay.names.learn(recorded_body, body)  # a response_url's id is in no answer
    assert comparable(body) == comparable(replay.names.with_our_ids(recorded_body))
    assert triggers[1] == replay.names.with_our_ids(triggers[0])


def test_events_are_numbered_without_a_gap(replay: Replay) -> None:
    numbers = [frame["seq"] for frame in replay.frames if "event" in frame]
    assert numbers == list(range(len(numbers)))


def test_the_recording_is_whole() -> None:
    assert (len(PAIRS), len(FRAMES), len(recorded_callbacks())) == (57, 37, 3)
