"""Messages come faster than they are answered: reading stops, nothing is lost, and how long people wait is seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from adapters.contract import Adapter, Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors.ingest import ingest
from fleetprompt.connectors.leases import Held
from fleetprompt.connectors.line import BATCH, BUFFERED, Line
from fleetprompt.doctor import pressure
from fleetprompt.doctor.finding import Level
from fleetprompt.runtime.jobs.pressure import unanswered
from fleetprompt.surfaces.gauges import measure
from fleetprompt.telemetry.metrics import rendered
from tests.connected import Stage, connected_house, until, working
from tests.house import ACME

FLOOD = 2_000


def said(number: int, *, sent_at_ms: int = 1_700_000_000_000, addressed: bool = False) -> Inbound:
    return Inbound(
        kind=EventKind.MESSAGE,
        event_key=f"post:{number}",
        external_id=f"post{number}",
        author=Author("danaid", AuthorKind.PERSON, "dana"),
        place=Place("c1", "public"),
        text="good morning",
        sent_at_ms=sent_at_ms,
        addressed=addressed,
        raw=b"{}",
        cursor=Cursor(str(number)),
    )


class Flood:
    """A far side that tells as fast as anyone listens. told: how many were taken from it."""

    def __init__(self) -> None:
        self.told = 0
        self.acked: list[str] = []

    async def listen(self, cursor: Cursor) -> AsyncIterator[Inbound]:
        for number in range(int(cursor or -1) + 1, FLOOD):
            self.told += 1
            yield said(number)

    async def ack(self, cursor: Cursor) -> None:
        self.acked.append(cursor)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


async def test_while_nothing_can_be_stored_nothing_more_is_read_and_then_nothing_is_missing(
    stage: Stage,
) -> None:
    installation = await stage.adopt()
    held = Held(installation.id, ACME, "mattermost", "key", 1)
    line, flood = Line(stage.house, stage.connectors.bindings["mattermost"], held), Flood()
    connection = await stage.base.database.connect_raw()
    try:
        await connection.execute("begin; set local role r_org_acme; set local search_path to org_acme")
        await connection.execute("select 1 from installations for update")  # no cursor can be saved meanwhile
        pumping = asyncio.create_task(
            line._pump(cast(Adapter, flood), stage.source(installation), Cursor(""))
        )
        await until(lambda: _true(flood.told >= BUFFERED))
        await asyncio.sleep(0.3)
        assert flood.told <= BUFFERED + BATCH + 1
        assert line.health.read_ahead() == BUFFERED
        assert flood.acked == []
        await connection.execute("rollback")
        await pumping
    finally:
        await connection.close()
    stored = await stage.base.tenant_rows(ACME, "select count(*) from messages")
    assert (stored[0][0], flood.acked[-1]) == (FLOOD, str(FLOOD - 1))


async def _true(value: bool) -> bool:
    return value


async def test_the_oldest_unanswered_message_is_seen_until_it_is_answered(stage: Stage) -> None:
    source = stage.source(await stage.adopt())
    sent_at_ms = int((time.time() - 300) * 1000)
    batch = [said(n, sent_at_ms=sent_at_ms + n * 1000, addressed=True) for n in range(3)]
    await ingest(stage.house.tenancy, stage.house.registry, source, batch)
    [waiting] = await unanswered(stage.base.database)
    assert (waiting.tenant, waiting.count) == (ACME, 3)
    assert 299 < waiting.oldest_s < 400
    await measure(stage.base.database)
    assert b'fleetprompt_messages_unanswered{org="acme"} 3.0' in rendered()
    assert b'fleetprompt_message_oldest_seconds{org="acme"} 3' in rendered()
    async with working(stage.house):
        await until(lambda: _nothing_waits(stage))
    await measure(stage.base.database)
    assert b'fleetprompt_messages_unanswered{org="acme"}' not in rendered()


async def _nothing_waits(stage: Stage) -> bool:
    return await unanswered(stage.base.database) == []


async def test_doctor_says_who_waits_too_long_and_what_to_do(stage: Stage) -> None:
    [before] = await pressure.check_messages(_house(stage), ACME)
    source = stage.source(await stage.adopt())
    old = said(1, addressed=True)
    await ingest(stage.house.tenancy, stage.house.registry, source, [old])
    [after] = await pressure.check_messages(_house(stage), ACME)
    assert (before.level, after.level) == (Level.OK, Level.WARN)
    assert after.detail.startswith("1 message unanswered, the oldest for ")
    assert "worker" in after.remedy


def _house(stage: Stage) -> Any:
    """What the check looks at."""
    return stage.base


async def test_thirty_two_callers_share_commits_and_each_message_is_there_once(stage: Stage) -> None:
    source = stage.source(await stage.adopt())
    house = stage.house
    told = await asyncio.gather(
        *(ingest(house.tenancy, house.registry, source, [said(n)]) for n in range(32)),
        *(ingest(house.tenancy, house.registry, source, [said(n)]) for n in range(32)),
    )
    assert sum(signal.fresh for [signal] in told) == 32
    assert await _transactions(stage) < 32
    for table in ("messages", "signals"):
        assert (await stage.base.tenant_rows(ACME, f"select count(*) from {table}"))[0][0] == 32


async def _transactions(stage: Stage) -> int:
    """Those that stored the signals: each row carries the number of its own."""
    return int((await stage.base.tenant_rows(ACME, "select count(distinct xmin::text) from signals"))[0][0])


async def test_poison_among_concurrent_callers_fails_alone(stage: Stage) -> None:
    source = stage.source(await stage.adopt())
    house = stage.house
    batches = [[said(n, sent_at_ms=2**70 if n == 7 else 1)] for n in range(20)]
    results = await asyncio.gather(
        *(ingest(house.tenancy, house.registry, source, batch) for batch in batches), return_exceptions=True
    )
    assert [n for n, result in enumerate(results) if isinstance(result, BaseException)] == [7]
    assert (await stage.base.tenant_rows(ACME, "select count(*) from messages"))[0][0] == 19
