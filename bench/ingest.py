"""Messages stored through `connectors.ingest`, beside rows of the same shape that are inserted by hand."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from bench.figure import Figure
from bench.server import pgbench
from fleetprompt.connectors.ingest import Source, ingest
from tests.connected import Stage
from tests.house import ACME

CALLERS = 32
BULK = 1000
ROUND_S = 2.0
ROUNDS = 5
GOAL = 0.5

COLUMNS = (
    "id, name, dedupe_key, correlation_id, actor_kind, actor_id, actor_name, installation_id,"
    " conversation_id, payload, retention, occurred_at"
)
ONE = f"""
insert into public.floor ({COLUMNS}) values (gen_random_uuid(), 'chat.message.received', gen_random_uuid()::text,
    gen_random_uuid(), 'human', 'u', 'dana', gen_random_uuid(), gen_random_uuid(), '{{payload}}', 'standard', now());
"""
MANY = f"""
insert into public.floor ({COLUMNS}) select id, 'chat.message.received', id::text, id, 'human', 'u', 'dana', id, id,
    payload::jsonb, 'standard', now() from unnest($1::uuid[], $2::text[]) as row (id, payload)
"""


async def measure(stage: Stage) -> list[Figure]:
    """Ours and the floor in turns; medians are compared."""
    installation = await stage.adopt()
    source = Source(ACME, installation.id, installation.generation, "mattermost", lambda text: text)
    await _ingest(stage, source, 1)
    payload = await _make_floor(stage)
    return [await _one_at_a_time(stage, source, payload), await _in_bulk(stage, source, payload)]


async def _one_at_a_time(stage: Stage, source: Source, payload: str) -> Figure:
    ours, floors = [], []
    script = ONE.format(payload=payload)
    for _ in range(ROUNDS):
        floors.append(await pgbench(stage.base.url, script, clients=CALLERS, seconds=ROUND_S))
        ours.append(await _rate(lambda: _ingest(stage, source, 1), CALLERS))
    return _figure(
        "ingested one at a time by 32 callers, messages/s; pgbench -M prepared -c 32", ours, floors
    )


async def _in_bulk(stage: Stage, source: Source, payload: str) -> Figure:
    ours, floors = [], []
    connection = await stage.base.database.connect_raw()
    try:

        async def insert() -> None:
            await connection.execute(MANY, [uuid4() for _ in range(BULK)], [payload] * BULK)

        for _ in range(ROUNDS):
            floors.append(BULK * await _rate(insert, 1))
            ours.append(BULK * await _rate(lambda: _ingest(stage, source, BULK), 1))
    finally:
        await connection.close()
    return _figure(f"ingested in bulk of {BULK}, messages/s; asyncpg unnest", ours, floors)


def _figure(name: str, ours: list[float], floors: list[float]) -> Figure:
    value, floor = statistics.median(ours), statistics.median(floors)
    return Figure(name, value, floor, value / floor, f">= {GOAL}", value / floor >= GOAL)


async def _rate(act: Callable[[], Awaitable[None]], callers: int) -> float:
    done, end = 0, time.perf_counter() + ROUND_S

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await act()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - began)


async def _ingest(stage: Stage, source: Source, count: int) -> None:
    emitted = await ingest(
        stage.house.tenancy, stage.house.registry, source, [_message() for _ in range(count)]
    )
    assert sum(signal.fresh for signal in emitted) == count


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


async def _make_floor(stage: Stage) -> str:
    """The columns and indexes of `signals` in a table of the service's own; a payload as long as a message's."""
    columns = await stage.base.tenant_rows(
        ACME,
        "select attname, format_type(atttypid, atttypmod) as kind, attnotnull from pg_attribute"
        " where attrelid = 'signals'::regclass and attnum > 0 and not attisdropped order by attnum",
    )
    indexes = await stage.base.tenant_rows(
        ACME,
        "select indexdef, indexname from pg_indexes where schemaname = 'org_acme' and tablename = 'signals'",
    )
    length = (await stage.base.tenant_rows(ACME, "select length(payload::text) from signals limit 1"))[0][0]
    connection = await stage.base.database.connect_raw()
    try:
        await connection.execute(f"create table public.floor ({', '.join(map(_column, columns))})")
        for one in indexes:
            await connection.execute(_index(one))
    finally:
        await connection.close()
    return '{"text": "%s"}' % ("x" * (length - len('{"text": ""}')))


def _column(row: Any) -> str:
    default = " default now()" if row["attname"] == "created_at" else ""
    return f"{row['attname']} {row['kind']}{' not null' if row['attnotnull'] else ''}{default}"


def _index(row: Any) -> str:
    placed: str = row["indexdef"].replace("org_acme.signals", "public.floor")
    return placed.replace(f"INDEX {row['indexname']} ON", f"INDEX floor_{row['indexname']} ON")
