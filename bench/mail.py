"""Mails from a mailbox into Postgres, beside a bare aioimaplib fetch loop on the same mailbox; and what that holds of memory."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from typing import Final

from bench.figure import Figure
from bench.idle import descendants, pss_kb
from bench.letters import letter, note
from fleetprompt import listener
from fleetprompt.composition import open_house
from fleetprompt.sandbox.mailbox.imap_server import ImapServer
from fleetprompt.sandbox.mailbox.records import PASSWORD
from tests import killing
from tests.mailed import FLEET, Post
from tests.serving import service_settings

MAILS: Final = 3000
BIG_BYTES: Final = 25_000_000
ROUNDS: Final = 3
GOAL: Final = 0.4
MOST_MB: Final = 150.0
PATIENCE_S: Final = 600.0
SAMPLED_S: Final = 0.02
LEASES: Final = {"lease_s": 10.0, "heartbeat_s": 1.0}
KINDS: Final = {"text, HTML and history": letter, "text": note}
_CHANCE: Final = random.Random(4)


async def listen(url: str) -> None:
    """In a process of its own: a listener until killed."""
    async with open_house(service_settings(url, None, **LEASES), role="listener", migrate=False) as house:
        await listener.serve(house, asyncio.Event())


async def measure(post: Post, mails: int = MAILS) -> list[Figure]:
    """Rounds of new mails that find the listener waiting in IDLE; the floor fetches the same ones. Memory is taken in a last round."""
    await post.install()
    direct = ImapServer(post.server.mailbox, implicit_tls=True)  # the library knows no STARTTLS
    await direct.start()
    try:
        with killing.running(listen, post.base.url) as process:
            assert process.pid is not None
            await _until_stored(post, 0, _letters(1))
            rates = [await _rate(post, direct.port, kind, mails) for kind in KINDS]
            above_mb = await _above_idle_mb(post, process.pid, mails)
    finally:
        await direct.stop()
    return [
        *rates,
        Figure(
            "peak above idle with a mail of 25 MB among them, MB (PSS of all processes but Postgres)",
            *(above_mb, None, None, f"< {MOST_MB:.0f}", above_mb < MOST_MB),
        ),
    ]


async def _rate(post: Post, port: int, kind: str, count: int) -> Figure:
    ours, floors = [], []
    for _ in range(ROUNDS):
        ours.append(await _ours(post, [KINDS[kind](_CHANCE) for _ in range(count)]))
        floors.append(await _floor(post, port, count))
    value, floor = statistics.median(ours), statistics.median(floors)
    ratio = value / floor
    name = f"{count:,} mails of 20 KB ({kind}) ingested, mails/s; bare aioimaplib fetch loop"
    return Figure(name, value, floor, ratio, f">= {GOAL}", ratio >= GOAL)


async def _ours(post: Post, news: list[bytes]) -> float:
    before, count = await _stored(post), len(news)
    began = time.perf_counter()
    await _until_stored(post, before, news)
    return count / (time.perf_counter() - began)


async def _until_stored(post: Post, before: int, news: list[bytes]) -> None:
    for raw in news:
        post.server.deliver(FLEET, raw)
    async with asyncio.timeout(PATIENCE_S):
        while await _stored(post) < before + len(news):
            await asyncio.sleep(0.05)


async def _stored(post: Post) -> int:
    [row] = await post.rows("select count(*) from signals where name = 'email.inbound.received'")
    return int(row[0])


async def _floor(post: Post, port: int, count: int) -> float:
    folder = post.server.mailbox.folder(post.server.account(FLEET), "INBOX")
    words = (str(port), FLEET, PASSWORD, str(folder.uid_next - count))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.fetch_loop", *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    told = json.loads(said)
    assert told["mails"] == count, "the floor lost some"
    return count / float(told["seconds"])


async def _above_idle_mb(post: Post, pid: int, count: int) -> float:
    """The most that it and its parsers hold at a time, beside what the listener holds when nothing comes."""
    async with asyncio.timeout(PATIENCE_S):
        while len(descendants(pid)) > 1:  # the parsers rest
            await asyncio.sleep(0.5)
    idle_mb = _held_mb(pid)
    news = _letters(count)
    news[count // 2] = letter(_CHANCE, BIG_BYTES)
    storing = asyncio.create_task(_until_stored(post, await _stored(post), news))
    peak_mb = idle_mb
    while not storing.done():
        peak_mb = max(peak_mb, await asyncio.to_thread(_held_mb, pid))
        await asyncio.sleep(SAMPLED_S)
    await storing
    return peak_mb - idle_mb


def _held_mb(pid: int) -> float:
    return sum(pss_kb(one) for one in descendants(pid)) / 1000


def _letters(count: int) -> list[bytes]:
    return [letter(_CHANCE) for _ in range(count)]
