"""The wire to the server is bad in every way the sandbox knows: each mention is answered exactly once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from tests import weather
from tests.house import ACME
from tests.town import Town
from tests.weather import said, stormy_town

pytestmark = pytest.mark.slow

HASTE = {
    "connect_timeout_s": 0.5,
    "read_timeout_s": 0.6,
    "ping_interval_s": 0.3,
    "pong_timeout_s": 0.3,
    "hello_timeout_s": 0.6,
    "backoff_first_s": 0.1,
    "backoff_most_s": 0.5,
}
"""A minute of a real connection in a second."""


def numbers(play: Town) -> list[int]:
    """What was answered, in order."""
    return [int(match[1]) for _, text in said(play) if (match := re.search(r"n(\d+)", text))]


async def _all_answered_once(play: Town, count: int, timeout_s: float = 30) -> None:
    await weather.heard(play, count, timeout_s)
    await play.settled()
    assert sorted(numbers(play)) == list(range(count))
    assert play.doubled() == []
    rows = await play.house.tenant_rows(ACME, "select distinct state from directives")
    assert [row[0] for row in rows] == ["succeeded"]


async def test_fifty_mentions_while_the_connection_is_cut_again_and_again() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play, pace=HASTE | {"read_timeout_s": 10}):
            await weather.connected(play)
            for n in range(50):
                play.ask(f"@fleet n{n}")
                if n % 5 == 0:
                    play.chat.drop_connections()
                await asyncio.sleep(0.04)
            await _all_answered_once(play, 50)


FAULTS = (
    "the websocket is refused",
    "reads fail",
    "reads are cut",
    "everything is limited",
    "posts fail after they were taken",
    "posts fail before they were taken",
    "posts are refused by a proxy",
    "posts are slow and their repeats in flight",
    "it freezes",
    "it restarts",
)


async def _strike(play: Town, fault: str) -> None:
    chat, posting = play.chat, "POST /api/v4/posts"
    if fault.startswith(("the websocket", "reads", "everything")):
        chat.drop_connections()
    match fault:
        case "the websocket is refused":
            chat.refuse_websockets(3)
        case "reads fail":
            chat.fail_5xx(6, only="GET ")
        case "reads are cut":
            chat.drop_requests(6, only="GET ")
        case "everything is limited":
            chat.answer_429(4, 0)
        case "posts fail after they were taken":
            chat.commit_then_drop(2)
        case "posts fail before they were taken":
            chat.drop_requests(1, only=posting)
        case "posts are refused by a proxy":
            chat.fail_5xx(1, only=posting)
        case "posts are slow and their repeats in flight":
            chat.delay_posts(1, 1.0)
        case "it freezes":
            chat.freeze(2.0)
        case _:
            await chat.restart(0.3)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_wire_is_survived(fault: str) -> None:
    async with stormy_town() as (play, _):
        with weather.running(play, pace=HASTE):
            await weather.connected(play)
            root = play.ask("@fleet n0")
            await play.answered(root)
            await _strike(play, fault)
            for n in range(1, 4):
                play.ask(f"@fleet n{n}", root_id=root)
            play.ask("@fleet n4")
            await _all_answered_once(play, 5, 40)
            in_thread = [n for n in numbers(play) if n < 4]
            assert in_thread == sorted(in_thread)


async def test_a_limit_of_posts_is_honoured_for_as_long_as_it_lasts() -> None:
    """429 with `Retry-After`: nobody posts before, and what waits keeps its order."""
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            root = play.ask("@fleet n0")
            await play.answered(root)
            play.chat.answer_429(1, 2, only="POST /api/v4/posts")
            for n in range(1, 4):
                play.ask(f"@fleet n{n}", root_id=root)
            await weather.until(lambda: not play.chat.application.faults._armed)
            refused_at = asyncio.get_running_loop().time()
            await weather.until(lambda: len(said(play)) > 1)
            assert asyncio.get_running_loop().time() - refused_at > 1.8
            await _all_answered_once(play, 4)
            assert numbers(play) == [0, 1, 2, 3]


async def test_a_slow_far_side_keeps_everything_in_order() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            play.chat.delay_posts(8, 0.2)
            root = play.ask("@fleet n0")
            for n in range(1, 8):
                play.ask(f"@fleet n{n}", root_id=root)
            await _all_answered_once(play, 8)
            assert numbers(play) == list(range(8))


async def test_a_server_that_dies_is_said_and_one_that_comes_back_is_caught_up_with() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play, pace=HASTE):
            await weather.connected(play)
            await play.answered(play.ask("@fleet n0"))
            await play.chat.http.stop()
            health = await weather.until(lambda: _unreachable(play))
            assert "server_url" in health["remedy"]
            for n in range(1, 4):
                play.ask(f"@fleet n{n}")
            await asyncio.sleep(0.5)
            await play.chat.http.start()
            await _all_answered_once(play, 4)
            await weather.until(lambda: _is_mended(play))


async def _health(play: Town) -> dict[str, object]:
    rows = await play.house.tenant_rows(ACME, "select * from installation_health")
    return dict(rows[0])


async def _is_mended(play: Town) -> bool:
    """Health is written a little after the fact."""
    return (await _health(play))["remedy"] is None


async def _unreachable(play: Town) -> dict[str, object] | None:
    health = await _health(play)
    return health if health["last_error_code"] == "unreachable" else None


async def test_a_storm_of_all_of_it_loses_and_doubles_nothing() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play, pace=HASTE):
            await weather.connected(play)
            for n in range(24):
                play.ask(f"@fleet n{n}")
                _something_bad(play, n)
                await asyncio.sleep(0.1)
            play.chat.clear_faults()
            with contextlib.suppress(TimeoutError):
                await weather.heard(play, 24, 40)
            await _all_answered_once(play, 24)


def _something_bad(play: Town, n: int) -> None:
    match n % 6:
        case 0:
            play.chat.drop_connections()
        case 1:
            play.chat.commit_then_drop(1)
        case 2:
            play.chat.answer_429(1, 0)
        case 3:
            play.chat.freeze(0.9)
        case 4:
            play.chat.fail_5xx(2)
        case _:
            play.chat.swap_frames(1)
