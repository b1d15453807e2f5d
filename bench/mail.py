"""Mails from a mailbox into Postgres, beside a bare aioimaplib fetch loop on the same mailbox; and what that holds of memory.

The loop stands there twice: as programs write it, with a command for each mail, which is what the goal is measured by;
and with a command for 500 of them, which waits for nothing and is shown without a goal. Neither keeps anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from bench.fetch_loop import MOST_AT_ONCE
from bench.figure import Figure
from bench.idle import descendants, pss_kb
from bench.letters import letter, note
from bench.spent import spent_s
from fleetprompt import listener
from fleetprompt.composition import open_house
from fleetprompt.sandbox.mailbox.imap_server import ImapServer
from fleetprompt.sandbox.mailbox.records import PASSWORD, Folder
from tests import killing
from tests.house import ACME
from tests.mailed import FLEET, Post
from tests.serving import service_settings

MAILS: Final = 3000
BIG_BYTES: Final = 25_000_000
ROUNDS: Final = 3
GOAL: Final = 0.4
MOST_MB: Final = 150.0
PATIENCE_S: Final = 600.0
SAMPLED_S: Final = 0.02
LOOKED_S: Final = 0.02
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
            idle_mb = await _idle_mb(process.pid)  # before all else: what stays of thousands of mails counts
            figures = [
                one for kind in KINDS for one in await _rates(post, direct.port, process.pid, kind, mails)
            ]
            above_mb = await _peak_mb(post, process.pid, mails) - idle_mb
    finally:
        await direct.stop()
    return [
        *figures,
        Figure(
            "peak above idle with a mail of 25 MB among them, MB (PSS of all processes but Postgres)",
            *(above_mb, None, None, f"< {MOST_MB:.0f}", above_mb < MOST_MB),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Taken:
    """What some mails took, a mail. cpu_ms: of all processes that had to do with it."""

    seconds: float
    cpu_ms: float


async def _rates(post: Post, port: int, pid: int, kind: str, count: int) -> list[Figure]:
    """In turns, since the machine is not the same from one minute to the next."""
    ours, single, many = [], [], []
    for _ in range(ROUNDS):
        ours.append(await _ours(post, pid, [KINDS[kind](_CHANCE) for _ in range(count)]))
        single.append(await _floor(post, port, count, 1))
        many.append(await _floor(post, port, count, MOST_AT_ONCE))
    name = f"{count:,} mails of 20 KB ({kind}) ingested, mails/s; bare aioimaplib fetch loop"
    per_mail = _figure(f"{name}, a command for each mail", ours, single)
    per_many = _figure(f"{name}, a command for {MOST_AT_ONCE}", ours, many)
    assert per_mail.ratio is not None
    held = per_mail.ratio >= GOAL
    return [
        replace(per_mail, goal=f">= {GOAL}", holds=held),
        per_many,
        Figure(
            f"CPU of a mail of 20 KB ({kind}) ingested, ms, with the mailbox server and Postgres; that loop's, with the server",
            value=statistics.median([one.cpu_ms for one in ours]),
            floor=statistics.median([one.cpu_ms for one in many]),
            ratio=None,
            goal="shown",
            holds=True,
        ),
    ]


def _figure(name: str, ours: Sequence[_Taken], floors: Sequence[_Taken]) -> Figure:
    value, floor = (1 / statistics.median([one.seconds for one in taken]) for taken in (ours, floors))
    return Figure(name, value, floor, value / floor, "shown", True)


async def _ours(post: Post, pid: int, news: list[bytes]) -> _Taken:
    before = await _stored(post)
    servers = await _servers(post)
    began, spent, own = time.perf_counter(), spent_s(pid, *servers), time.process_time()
    await _until_stored(post, before, news)
    seconds, own = time.perf_counter() - began, time.process_time() - own
    return _taken(seconds, own + spent_s(pid, *servers) - spent, len(news))


def _taken(seconds: float, cpu_s: float, count: int) -> _Taken:
    return _Taken(seconds / count, cpu_s / count * 1000)


async def _servers(post: Post) -> list[int]:
    """Of Postgres, which the listener speaks to."""
    rows = await post.rows("select pid from pg_stat_activity where pid is not null")
    return [row[0] for row in rows]


async def _until_stored(post: Post, before: int, news: list[bytes]) -> None:
    """Waits at the cursor, which is written with the mails: counting them all takes longer the more there are."""
    for raw in news:
        post.server.deliver(FLEET, raw)
    last = _inbox(post).uid_next - 1
    async with contextlib.AsyncExitStack() as stack:
        looking = await post.base.database.connect_raw()  # one, since each costs what a few mails do
        stack.push_async_callback(looking.close)
        await looking.execute(f"set role r_org_{ACME}; set search_path to org_{ACME}, pg_temp")
        async with asyncio.timeout(PATIENCE_S):
            while await _read_to(looking) < last:
                await asyncio.sleep(LOOKED_S)
    assert await _stored(post) == before + len(news), "some are missing, or doubled"


async def _read_to(looking: asyncpg.Connection) -> int:
    cursor = await looking.fetchval("select cursor from installation_cursors")
    return max((uid for _, uid in json.loads(cursor)["f"].values()), default=0) if cursor else 0


async def _stored(post: Post) -> int:
    [row] = await post.rows("select count(*) from signals where name = 'email.inbound.received'")
    return int(row[0])


def _inbox(post: Post) -> Folder:
    return post.server.mailbox.folder(post.server.account(FLEET), "INBOX")


async def _floor(post: Post, port: int, count: int, at_once: int) -> _Taken:
    words = (str(port), FLEET, PASSWORD, str(_inbox(post).uid_next - count), str(at_once))
    own = time.process_time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.fetch_loop", *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    told = json.loads(said)
    assert told["mails"] == count, "the floor lost some"
    return _taken(float(told["seconds"]), time.process_time() - own + float(told["cpu_s"]), count)


async def _idle_mb(pid: int) -> float:
    """What the listener holds when nothing comes."""
    async with asyncio.timeout(PATIENCE_S):
        while len(descendants(pid)) > 1:  # the parsers rest
            await asyncio.sleep(0.5)
    return _held_mb(pid)


async def _peak_mb(post: Post, pid: int, count: int) -> float:
    """The most that it and its parsers hold at a time."""
    news = _letters(count)
    news[count // 2] = letter(_CHANCE, BIG_BYTES)
    storing = asyncio.create_task(_until_stored(post, await _stored(post), news))
    peak_mb = 0.0
    while not storing.done():
        peak_mb = max(peak_mb, await asyncio.to_thread(_held_mb, pid))
        await asyncio.sleep(SAMPLED_S)
    await storing
    return peak_mb


def _held_mb(pid: int) -> float:
    return sum(pss_kb(one) for one in descendants(pid)) / 1000


def _letters(count: int) -> list[bytes]:
    return [letter(_CHANCE) for _ in range(count)]
