"""An event that cannot be stored is set aside where a person sees it, and holds up nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors import intake
from fleetprompt.connectors.health import HealthRecorder
from fleetprompt.connectors.ingest import Superseded
from fleetprompt.connectors.intake import MAX_RAW_BYTES, Intake
from fleetprompt.connectors.leases import Held
from fleetprompt.database.engine import is_away
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.telemetry.metrics import MESSAGES_RECEIVED
from tests.connected import Stage, connected_house, listening, until
from tests.house import ACME, GLOBEX

PRIVATE = "the zebra crosses at dawn"


def said(words: str, **more: Any) -> Inbound:
    fields: dict[str, Any] = {
        "kind": EventKind.MESSAGE,
        "event_key": f"post:{words}",
        "external_id": words.replace(" ", ""),
        "author": Author("danaid", AuthorKind.PERSON, "dana"),
        "place": Place("c1", "public"),
        "sent_at_ms": 1_700_000_000_000,
        "addressed": False,
        "raw": words.encode(),
        "cursor": Cursor(f"after {words}"),
        **more,
    }
    return Inbound(text=words, **fields)


POISON = {
    "a time beyond bigint": {"sent_at_ms": 2**70},
    "a key that no index takes": {"event_key": "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(20_000))},
    "a place that no index takes": {"place": Place("".join(chr(0x4E00 + n * 7919 % 20000) for n in range(20_000)), "public")},
    "a kind of channel that is none": {"place": Place("c1", cast(str, 7))},
    "an id with NUL": {"external_id": "a\x00b"},
}  # fmt: skip


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Short pauses, and the log instead of tracebacks on the terminal."""
    monkeypatch.setattr(intake, "FIRST_WAIT_S", 0.01)
    with capture_logs() as logs:
        yield logs


async def keep(stage: Stage, installation: Installation, batch: Sequence[Inbound]) -> None:
    held = Held(installation.id, ACME, "mattermost", installation.account["key"], 1)
    health = HealthRecorder(stage.house.tenancy, stage.house.registry, held)
    async with asyncio.timeout(20):
        await Intake(stage.house, health).keep(stage.source(installation), batch)


async def unreadable(stage: Stage, tenant: TenantSlug = ACME) -> list[Any]:
    query = (
        "select s.*, r.body from signals s join signal_raw r on r.signal_id = s.id"
        " where s.name = 'integration.event.unreadable' order by s.id"
    )
    return await stage.base.tenant_rows(tenant, query)


async def texts(stage: Stage) -> list[str]:
    query = "select payload->>'text' as t from signals where name = 'chat.message.received' order by id"
    return [row["t"] for row in await stage.base.tenant_rows(ACME, query)]


async def cursor(stage: Stage) -> str:
    [row] = await stage.base.tenant_rows(ACME, "select cursor from installation_cursors")
    return str(row["cursor"])


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_what_cannot_be_stored_is_set_aside_and_nothing_else_is_lost(
    stage: Stage, installation: Installation, poison: dict[str, Any]
) -> None:
    await keep(stage, installation, [said("one"), said(PRIVATE, **poison), said("two")])
    assert await texts(stage) == ["one", "two"]
    [fact] = await unreadable(stage)
    assert (bytes(fact["body"]), fact["installation_id"]) == (PRIVATE.encode(), installation.id)
    payload = json.loads(fact["payload"])
    assert payload["package"] == "mattermost"
    assert payload["error"]
    assert PRIVATE not in fact["payload"].replace(payload["event_key"], "")
    assert await cursor(stage) == "after two"
    assert await unreadable(stage, GLOBEX) == []


async def test_what_came_in_is_counted_and_told_without_its_words(
    stage: Stage, installation: Installation, quick: list[Any]
) -> None:
    before = {outcome: counted(outcome) for outcome in ("stored", "repeated", "unreadable")}
    await keep(stage, installation, [said(PRIVATE), said("bad", sent_at_ms=2**70)])
    await keep(stage, installation, [said(PRIVATE)])
    assert {outcome: counted(outcome) - was for outcome, was in before.items()} == {
        "stored": 1,
        "repeated": 1,
        "unreadable": 1,
    }
    told = [log for log in quick if log["event"].startswith("fleetprompt.integration.")]
    assert [(log["event"].rsplit(".", 1)[1], log.get("events")) for log in told] == [
        ("received", 2),
        ("processed", 1),
        ("failed", None),
        ("received", 1),
        ("processed", 0),
    ]
    assert {(log["org"], log["provider"]) for log in told} == {(ACME, "mattermost")}
    assert told[2]["error_class"] == "DBAPIError"
    assert PRIVATE not in str(quick)


def counted(outcome: str) -> float:
    return float(MESSAGES_RECEIVED.labels(ACME, "mattermost", outcome)._value.get())


async def test_it_may_be_the_last_of_its_batch_or_all_of_it(stage: Stage, installation: Installation) -> None:
    batch = [said(f"bad {number}", sent_at_ms=2**70) for number in range(3)]
    await keep(stage, installation, batch)
    await keep(stage, installation, batch)  # read again after a crash before the acknowledgement
    assert [bytes(fact["body"]) for fact in await unreadable(stage)] == [b"bad 0", b"bad 1", b"bad 2"]
    assert await cursor(stage) == "after bad 2"


async def test_what_is_kept_of_it_is_bounded(stage: Stage, installation: Installation) -> None:
    endless = said("bad", raw=b"x" * (MAX_RAW_BYTES + 7), event_key="k" * 10**6, sent_at_ms=2**70)
    await keep(stage, installation, [endless])
    [fact] = await unreadable(stage)
    payload = json.loads(fact["payload"])
    assert (len(fact["body"]), payload["raw_bytes"]) == (MAX_RAW_BYTES, MAX_RAW_BYTES + 7)
    assert len(fact["payload"]) < 2000


async def test_a_fault_of_the_database_is_no_fault_of_the_event(
    stage: Stage, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH_TRIES", 1)
    await stage.base.tenant_rows(ACME, "alter table messages rename to messages_away")
    keeping = asyncio.create_task(keep(stage, installation, [said("one"), said("two")]))
    await asyncio.sleep(1)
    assert not keeping.done()
    await stage.base.tenant_rows(ACME, "alter table messages_away rename to messages")
    await keeping
    assert await texts(stage) == ["one", "two"]
    assert await unreadable(stage) == []


async def test_a_line_with_older_settings_sets_nothing_aside(
    stage: Stage, installation: Installation
) -> None:
    await stage.base.tenant_rows(ACME, "update installations set generation = generation + 1")
    with pytest.raises(Superseded):
        await keep(stage, installation, [said("bad", sent_at_ms=2**70)])
    assert await unreadable(stage) == []


async def test_a_number_that_does_not_fit_does_not_mean_that_postgres_is_away(stage: Stage) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with stage.house.tenancy.database.connection() as connection:
            await connection.execute(text("select cast(:n as bigint)"), {"n": 2**70})
    assert not is_away(failed.value)


async def test_a_server_whose_times_are_senseless_is_heard_on(
    stage: Stage, installation: Installation
) -> None:
    async def heard(words: str) -> bool:
        return words in await texts(stage)

    async with listening(stage):
        stage.server.post(stage.dana, stage.support, "live before")
        await until(lambda: heard("live before"))
        post = {"id": "p" * 26, "channel_id": stage.support.id, "user_id": stage.dana.id, "create_at": 2**70}
        audience = Audience(channel_id=stage.support.id)
        stage.server.site.hub.publish(Event("posted", {"post": nested(post)}, audience))
        stage.server.post(stage.dana, stage.support, "live after")
        await until(lambda: heard("live after"))
    broken = stage.server.post(stage.dana, stage.support, "broken")
    broken.create_at = 2**70
    stage.server.post(stage.dana, stage.support, "missed")
    async with listening(stage):
        await until(lambda: heard("missed"))
    assert await texts(stage) == ["live before", "live after", "missed"]
