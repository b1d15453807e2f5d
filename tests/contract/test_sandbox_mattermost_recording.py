"""The sandbox answers each recorded request and sends each recorded frame as the real server did."""

from __future__ import annotations

import asyncio

import pytest

from tests.mattermost_recording import (
    CALLBACKS,
    SKIPPED_FRAMES,
    SKIPPED_PAIRS,
    Replay,
    comparable,
    equal_times,
    play,
    recorded_callbacks,
    recorded_frames,
    recorded_pairs,
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
    if index in SKIPPED_PAIRS:
        pytest.skip(SKIPPED_PAIRS[index])
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
    if index in SKIPPED_PAIRS:
        pytest.skip(SKIPPED_PAIRS[index])
    recorded, ours = PAIRS[index]["json"], replay.answers[index].json()
    if isinstance(recorded, dict):
        assert list(ours) == list(recorded)


@pytest.mark.parametrize("index", range(len(FRAMES)), ids=lambda i: f"{i}-{FRAMES[i].get('event', 'answer')}")
def test_a_recorded_frame_comes_in_its_place(index: int, replay: Replay) -> None:
    if index in SKIPPED_FRAMES:
        pytest.skip(SKIPPED_FRAMES[index])
    place = index - sum(1 for skipped in SKIPPED_FRAMES if skipped < index)
    ours, recorded = dict(replay.frames[place]), dict(FRAMES[index])
    ours.pop("seq", None), recorded.pop("seq", None)
    expected = replay.names.with_our_ids(recorded)
    assert comparable(ours) == comparable(expected)
    assert equal_times(expected) <= equal_times(ours)


@pytest.mark.parametrize("path", [callback["path"] for callback in recorded_callbacks()])
def test_a_recorded_callback_is_sent(path: str) -> None:
    pytest.skip(CALLBACKS)


def test_events_are_numbered_without_a_gap(replay: Replay) -> None:
    numbers = [frame["seq"] for frame in replay.frames if "event" in frame]
    assert numbers == list(range(len(numbers)))


def test_what_is_skipped_is_in_the_recording() -> None:
    assert max(SKIPPED_PAIRS) < len(PAIRS) == 57
    assert max(SKIPPED_FRAMES) < len(FRAMES) == 37
