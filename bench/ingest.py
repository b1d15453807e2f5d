"""Messages ingested one at a time by 32 callers, beside 32 clients that INSERT rows of the same shape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from bench.figure import Figure
from fleetprompt.connectors.ingest import Source, ingest
from tests.connected import Stage
from tests.house import ACME

CALLERS = 32
ROUND_S = 2.0
ROUNDS = 3
GOAL = 0.5

FLOOR_TABLE = """
create table public.floor (like org_acme.signals including all)
"""
FLOOR_INSERT = """
insert into public.floor (id, name, dedupe_key, correlation_id, actor_kind, actor_id, actor_name, payload, retention,
    occurred_at) values ($1, 'chat.message.received', $2, $1, 'human', 'u', 'dana', $3, 'standard', now())
"""


async def measure(stage: Stage) -> Figure:
    """Alternating rounds of ours and of the floor; medians are compared."""
    installation = await stage.adopt()
    source = Source(ACME, installation.id, installation.generation, "mattermost", lambda text: text)
    ours, floors = [], []
    async with _pool(stage) as pool:
        await _make_floor_table(stage)
        for _ in range(ROUNDS):
            floors.append(await _rate(lambda: _insert(pool)))
            ours.append(await _rate(lambda: _ingest(stage, source)))
    value, floor = sorted(ours)[ROUNDS // 2], sorted(floors)[ROUNDS // 2]
    return Figure("ingested, messages/s", value, floor, value / floor, f">= {GOAL}", value / floor >= GOAL)


async def _rate(act: Callable[[], Awaitable[None]]) -> float:
    done, end = 0, time.perf_counter() + ROUND_S

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await act()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / (time.perf_counter() - began)


async def _ingest(stage: Stage, source: Source) -> None:
    await ingest(stage.house.tenancy, stage.house.registry, source, [_message()])


async def _insert(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    event = uuid4()
    await pool.execute(FLOOR_INSERT, event, str(event), '{"text": "%s"}' % ("x" * 600))


def _message() -> Inbound:
    external_id = uuid4().hex[:26]
    return Inbound(
        kind=EventKind.MESSAGE,
        event_key=f"post:{external_id}",
        external_id=external_id,
        author=Author("u" * 26, AuthorKind.PERSON, "dana"),
        place=Place("c" * 26, "public", "", "support", "t" * 26),
        text="good morning to all of you " * 4,
        sent_at_ms=time.time_ns() // 1_000_000,
        addressed=False,
        raw=b"{}" * 200,
        cursor=Cursor("{}"),
    )


def _pool(stage: Stage) -> asyncpg.Pool[asyncpg.Record]:
    url = stage.base.database.url
    arguments = url.translate_connect_args(username="user")
    query = {key: (int(value) if key == "port" else value) for key, value in url.query.items()}  # type: ignore[arg-type]
    return asyncpg.create_pool(min_size=CALLERS, max_size=CALLERS, **arguments, **query)


async def _make_floor_table(stage: Stage) -> None:
    connection = await stage.base.database.connect_raw()
    try:
        await connection.execute(
            "set role r_org_acme; grant select on org_acme.signals to fleetprompt_tenant"
        )
        await connection.execute("reset role")
        columns = (
            "id uuid primary key, name text, dedupe_key text unique, correlation_id uuid, actor_kind text"
        )
        more = "actor_id text, actor_name text, payload jsonb, retention text, occurred_at timestamptz"
        created = "created_at timestamptz not null default now()"
        await connection.execute(f"create table public.floor ({columns}, {more}, {created})")
        for key in ("name, id", "correlation_id", "retention, created_at"):
            await connection.execute(f"create index on public.floor ({key})")
    finally:
        await connection.close()
