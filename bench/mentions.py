"""From a mention to its answer, beside a bare echo bot on the same server: each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.echo import echo
from bench.figure import Figure
from fleetprompt import listener, worker
from fleetprompt.composition import open_house
from fleetprompt.sandbox.mattermost import SandboxUser
from fleetprompt.settings import Settings
from tests import killing
from tests.house import ACME
from tests.serving import service_settings
from tests.town import Town

ASKED = 60
ASIDE = 10  # the first ones open connections
BURST = 500
CHANNELS = 10
ROUNDS = 3
GOAL_MS = 15.0
GOAL_RATE = 0.7
PATIENCE_S = 120
DEFAULTS = {
    name: Settings.model_fields[name].default
    for name in ("lease_s", "heartbeat_s", "reap_every_s", "poll_every_s", "shutdown_grace_s")
}
"""`service_settings` is for tests, which are in a hurry."""


@dataclass
class Bot:
    """Who is asked, by which words, and the process that answers."""

    user: SandboxUser
    text: str
    pid: int


async def serve(url: str, order_desk_url: str | None) -> None:
    """The whole service, until killed."""
    settings = service_settings(url, order_desk_url, **DEFAULTS)
    async with open_house(settings, role="up", migrate=False) as house:
        never = asyncio.Event()
        await asyncio.gather(worker.serve(house, never), listener.serve(house, never))


async def measure(play: Town) -> list[Figure]:
    """One at a time in turns, then bursts in turns. The town has no installation yet."""
    await play.install(posts_per_second=1000, post_burst=1000)
    await play.house.tenant_rows(ACME, "update agents set limits = '{\"runs_per_person_per_hour\": 1000000}'")
    other = play.chat.create_user("echo", is_bot=True)
    channels = _channels(play, other)
    async with _bots(play, other) as (ours, floor):
        one = await _one_in_flight(play, ours, floor)
        return [*one, await _burst(play, channels, ours, floor)]


@asynccontextmanager
async def _bots(play: Town, user: SandboxUser) -> AsyncIterator[tuple[Bot, Bot]]:
    program = killing.running(serve, play.house.url, play.desk.url)
    with program as service, killing.running(echo, play.chat.url, user.id, user.token) as other:
        assert service.pid is not None
        assert other.pid is not None
        ours, floor = (
            Bot(play.bot, "@fleet good morning", service.pid),
            Bot(user, "@echo good morning", other.pid),
        )
        await asyncio.sleep(1.0)  # a mention before its websocket stands would be history to the echo bot
        for bot in (ours, floor):
            await _answer_ms(play, bot)
        yield ours, floor


def _channels(play: Town, other: SandboxUser) -> list[str]:
    """Ten, with dana and both bots in each."""
    team = play.chat.create_team("acme")
    play.chat.add_to_team(other, team)
    play.chat.add_to_channel(other, play.support)
    made = [play.chat.create_channel(team, f"room{number}") for number in range(CHANNELS - 1)]
    for channel in made:
        for user in (play.dana, play.bot, other):
            play.chat.add_to_channel(user, channel)
    return [play.support, *(channel.id for channel in made)]


async def _one_in_flight(play: Town, ours: Bot, floor: Bot) -> list[Figure]:
    times: dict[int, list[float]] = {ours.pid: [], floor.pid: []}
    before = _cpu_s(ours.pid)
    for _ in range(ASKED):
        for bot in (floor, ours):
            times[bot.pid].append(await _answer_ms(play, bot))
    cpu_ms = (_cpu_s(ours.pid) - before) / ASKED * 1000
    value, base = (statistics.median(times[bot.pid][ASIDE:]) for bot in (ours, floor))
    above = value - base
    return [
        Figure(
            "mention to reply, one in flight, median ms; bare echo bot",
            *(value, base, None, f"<= floor + {GOAL_MS:.0f}", above <= GOAL_MS),
        ),
        Figure("CPU of the service per mention, one in flight, ms", cpu_ms, None, None, "shown", True),
    ]


async def _burst(play: Town, channels: list[str], ours: Bot, floor: Bot) -> Figure:
    rates: dict[int, list[float]] = {ours.pid: [], floor.pid: []}
    for _ in range(ROUNDS):
        for bot in (floor, ours):
            rates[bot.pid].append(await _replies_per_s(play, channels, bot))
    value, base = (statistics.median(rates[bot.pid]) for bot in (ours, floor))
    return Figure(
        f"burst of {BURST} mentions over {CHANNELS} channels, none lost, none twice, replies/s; bare echo bot",
        *(value, base, value / base, f">= {GOAL_RATE}", value / base >= GOAL_RATE),
    )


async def _replies_per_s(play: Town, channels: list[str], bot: Bot) -> float:
    arrived, began = len(play.chat.ledger), time.perf_counter()
    asked = []
    for number in range(BURST):
        asked.append(play.chat.post(play.dana, channels[number % CHANNELS], bot.text).id)
        if number % CHANNELS == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        while sum(entry.user_id == bot.user.id for entry in play.chat.ledger[arrived:]) < BURST:
            await asyncio.sleep(0.01)
    took_s = time.perf_counter() - began
    await asyncio.sleep(1.0)  # a second answer would come now
    answered = Counter(entry.root_id for entry in play.chat.ledger[arrived:] if entry.user_id == bot.user.id)
    assert answered == Counter(asked), "lost or doubled"
    return BURST / took_s


async def _answer_ms(play: Town, bot: Bot) -> float:
    arrived = len(play.chat.ledger)
    began = time.perf_counter()
    play.ask(bot.text)
    async with asyncio.timeout(30):
        while not any(entry.user_id == bot.user.id for entry in play.chat.ledger[arrived:]):
            await asyncio.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


def _cpu_s(pid: int) -> float:
    """User and system time of one process, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
