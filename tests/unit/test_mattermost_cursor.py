"""What a cursor promises: nothing unread lies behind it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Cursor
from adapters.errors import Misconfigured
from adapters.mattermost.cursor import CLOCK_STEP_MS, Position

NOW = 2_000_000_000_000


def at(cursor: str = "", start_at_ms: int = 0, now_ms: int = NOW) -> Position:
    return Position.parse(Cursor(cursor), start_at_ms, lambda: now_ms)


def channel(number: int) -> str:
    return f"{number:026d}"


def test_the_empty_cursor_is_the_install() -> None:
    assert at("", 5).mark("any") == 5


def test_a_cursor_survives_being_stored() -> None:
    position = at("", 5)
    position.reached(channel(1), 9)
    again = at(position.dump())
    assert (again.floor_ms, again.mark(channel(1)), again.mark(channel(2))) == (5, 9, 5)


def test_progress_in_one_channel_says_nothing_about_another() -> None:
    position = at("", 5)
    position.reached(channel(1), 1000)
    assert position.mark(channel(2)) == 5


def test_only_the_end_of_a_catch_up_raises_the_floor() -> None:
    position = at("", 5)
    position.reached(channel(1), 1000)
    position.caught_up(900)
    assert position.mark(channel(2)) == 900
    assert json.loads(position.dump()) == {"v": 1, "f": 900}


def test_a_post_from_the_future_hides_nothing() -> None:
    position = at("", 5, now_ms=100)
    position.went_live(NOW)
    position.caught_up(NOW)
    position.reached(channel(1), NOW)
    assert position.mark(channel(1)) == 100 + CLOCK_STEP_MS


def test_a_live_deletion_without_a_time_moves_nothing() -> None:
    position = at("", 5)
    position.went_live(0)
    assert position.floor_ms == 5


@given(st.dictionaries(st.integers(0, 5000), st.integers(6, NOW), max_size=300))
def test_a_cursor_stays_small_and_forgets_only_towards_reading_again(progress: dict[int, int]) -> None:
    position = at("", 5)
    for number, reached_ms in progress.items():
        position.reached(channel(number), reached_ms)
    dumped = position.dump()
    assert len(dumped) <= 4096
    again = at(dumped)
    for number in progress:
        assert 5 <= again.mark(channel(number)) <= position.mark(channel(number))


def test_an_older_cursor_never_reaches_before_the_install() -> None:
    assert at('{"v":1,"f":3}', 5).floor_ms == 5


@pytest.mark.parametrize(
    "cursor", ["x", "[]", "{}", '{"f":"soon"}', '{"f":1,"c":7}', '{"f":1,"c":{"a":"b"}}', "null"]
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Misconfigured):
        at(cursor)
