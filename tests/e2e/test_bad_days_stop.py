"""`python -m fleetprompt up` is told to stop in the middle of its work: within five seconds, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import killing, weather
from tests.command_line import CommandLine
from tests.openai_stub import OpenAIStub, Reply, last_text
from tests.town import Town
from tests.weather import said, stormy_town

pytestmark = pytest.mark.slow

STOP_S = 5.0


def command_line(play: Town, stub: OpenAIStub) -> CommandLine:
    """The town's settings as an operator gives them."""
    names = ("order_desk_url", "model", "lease_s", "heartbeat_s", "reap_every_s", "poll_every_s")
    given = {f"FLEETPROMPT_{name.upper()}": str(getattr(play.settings, name)) for name in names}
    given |= {"FLEETPROMPT_MODEL_BASE_URL": stub.url, "FLEETPROMPT_MODEL_API_KEY": "k"}
    return CommandLine.on(play.house.url, FLEETPROMPT_PORT="0", **given)


@contextlib.asynccontextmanager
async def up(run: CommandLine) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as a person starts it; killed at the end if it still lives."""
    process = await run.start("up")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("moment", "number"),
    [("thinking", signal.SIGINT), ("posting", signal.SIGINT), ("posting", signal.SIGTERM)],
)
async def test_a_stop_in_mid_work_is_quick_and_the_next_start_goes_on(
    moment: str, number: signal.Signals
) -> None:
    async with stormy_town() as (play, stub):
        run = command_line(play, stub)
        async with up(run) as process:
            await weather.connected(play, timeout_s=40)
            await _be_in_the_middle(play, stub, moment)
            began = time.monotonic()
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), 20) == 0
            assert time.monotonic() - began < STOP_S
        stub.rule(lambda request: Reply.says(last_text(request)))
        play.chat.clear_faults()
        free = await play.house.rows("select 1 from public.job where state = 'running'")
        assert free == []
        play.ask("@fleet n20")
        with weather.running(play):
            await _all_answered_once(play)


async def test_of_two_services_one_dies_under_load_and_the_other_does_it_all() -> None:
    async with stormy_town() as (play, _):
        quick: dict[str, Any] = {"lease_s": 1.5, "heartbeat_s": 0.3}
        with weather.running(play, **quick), killing.running(weather.serve, *dying(play, **quick)) as other:
            await weather.connected(play)
            for n in range(20):
                play.ask(f"@fleet n{n}")
                if n == 10:
                    other.kill()
                await asyncio.sleep(0.05)
            await _all_answered_once(play)


def dying(play: Town, **settings: object) -> tuple[dict[str, object], str, dict[str, object]]:
    """Arguments of a service whose last words nobody reads."""
    return play.settings.model_dump() | settings, os.devnull, {}


async def _be_in_the_middle(play: Town, stub: OpenAIStub, moment: str) -> None:
    if moment == "thinking":
        stub.rule(lambda request: Reply.says("too late", delay_s=30))
    else:
        play.chat.delay_posts(3, 3.0)
    for n in range(12):
        play.ask(f"@fleet n{n}")
    await weather.until(lambda: len(stub.requests) >= 3)
    if moment == "posting":
        await weather.until(lambda: play.chat.site.pending._posts)


async def _all_answered_once(play: Town) -> None:
    asked = [
        post.id for post in play.chat.posts(play.support) if post.user_id == play.dana.id and not post.type
    ]
    await play.answered(*asked)
    await play.settled()
    assert sorted(root for root, _ in said(play)) == sorted(asked)
    assert play.doubled() == []
