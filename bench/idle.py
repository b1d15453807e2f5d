"""`fleetprompt up` as an operator starts it, with the embedded database: how much it holds when idle, how soon it answers."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.command_line import CommandLine, line, staying, stopped
from tests.database import reachable_directory

STARTS = 3
IDLE_S = 8.0
MOST_MB = 200.0
MOST_S = 3.0


async def measure() -> list[Figure]:
    """A first start sets it up; then warm starts, each to the answer of a mention that was waiting."""
    with reachable_directory() as directory:
        settings = {"FLEETPROMPT_DATA_DIR": str(directory / "data"), "FLEETPROMPT_PORT": "0"}
        async with SandboxMattermost() as chat:
            run = CommandLine({**settings, "MATTERMOST_TOKEN": _people(chat)})
            await _set_up(run, chat)
            answered_s = [await _start_to_answer_s(run, chat) for _ in range(STARTS)]
            idle_mb = await _idle_mb(run)
    return [
        _figure("idle: `up` with the embedded Postgres, MB (PSS of all its processes)", idle_mb, MOST_MB),
        _figure("warm start of `up` to the first reply, s", statistics.median(answered_s), MOST_S),
    ]


def _people(chat: SandboxMattermost) -> str:
    """dana and the bot in #support; the bot's token."""
    team = chat.create_team("acme")
    support = chat.create_channel(team, "support")
    for user in (chat.create_user("dana"), bot := chat.create_user("fleet", is_bot=True)):
        chat.add_to_channel(user, support)
    return bot.token


async def _set_up(run: CommandLine, chat: SandboxMattermost) -> None:
    async with staying(run, "up") as up:
        await line(up, r"serves on")
        await run.ok("org", "create", "acme")
        await run.ok("agent", "create", "fleet", "--org", "acme", "--purpose", "Helps.")
        where = ("--set", f"server_url={chat.url}", "--set", "team=acme")
        secret = ("--secret", "bot_token=env:MATTERMOST_TOKEN")
        await run.ok("package", "install", "mattermost", "--org", "acme", *where, *secret)
        assert await stopped(up) == 0


async def _start_to_answer_s(run: CommandLine, chat: SandboxMattermost) -> float:
    root = chat.post("dana", "support", "@fleet good morning").id
    began = time.perf_counter()
    async with staying(run, "up") as up, asyncio.timeout(60):
        while not any(entry.root_id == root for entry in chat.ledger):
            await asyncio.sleep(0.005)
        took_s = time.perf_counter() - began
        assert await stopped(up) == 0
    return took_s


async def _idle_mb(run: CommandLine) -> float:
    async with staying(run, "up") as up:
        await line(up, r"serves on")
        await asyncio.sleep(IDLE_S)
        held = sum(
            pss_kb(pid)
            for pid in {*descendants(up.pid), *_server(Path(run.settings["FLEETPROMPT_DATA_DIR"]))}
        )
        assert await stopped(up) == 0
    return held / 1000


def _server(data_dir: Path) -> set[int]:
    """The embedded server's processes; they are nobody's children, so that they can be shared."""
    pid = int((data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])
    return {*descendants(pid), _parent(pid)} - {1}


def descendants(pid: int) -> set[int]:
    """The process and all that it started."""
    children = {child for child in _processes() if _parent(child) == pid}
    return {pid}.union(*(descendants(child) for child in children))


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _parent(pid: int) -> int:
    """0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def pss_kb(pid: int) -> int:
    """What the process holds, shared pages by their share; 0 for one that is gone. Linux only."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])


def _figure(name: str, value: float, most: float) -> Figure:
    return Figure(name, value, None, None, f"< {most:.0f}", value < most)
