"""Signals handled again, and signals forgotten in their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.kernel.errors import InvalidInput, NotFound
from fleetprompt.kernel.ids import SignalId, TenantSlug
from fleetprompt.model import Signal
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.jobs import NewJob
from fleetprompt.runtime.registry import Handler, Registry
from fleetprompt.runtime.signals import NewSignal, emit, retention
from fleetprompt.runtime.signals.handle import handle_kind
from fleetprompt.runtime.signals.replay import Chosen, replay
from fleetprompt.tenancy import TenantSession
from tests.directives import AGENT, PERSON, POST, FarSide, registry_for, run_out
from tests.house import ACME, GLOBEX, House
from tests.jobs import add

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Answering:
    """A registry whose one handler asks for one effect for each message, by a key that the message gives."""

    def __init__(self, ledger: Path) -> None:
        self.far = FarSide(ledger)
        self.handled: list[Any] = []
        self.registry = registry_for(self.far)
        self.registry.add_signal("signals.replayed", "Handled again.")
        for name in ("message.received", "message.edited"):
            self.registry.add_signal(name, "Somebody wrote.")
            self.registry.on(name, Handler("answer", self._answer))
        self.registry.add_job(handle_kind(self.registry))

    async def _answer(self, session: TenantSession, signal: Signal) -> None:
        self.handled.append(signal.payload["n"])
        new = NewDirective(POST, f"answer:{signal.id}", {}, "It was asked.", AGENT, causation_id=signal.id)
        await request(session, self.registry, new)


@pytest.fixture
def answering(tmp_path: Path) -> Answering:
    return Answering(tmp_path / "ledger")


async def receive(
    house: House, registry: Registry, n: int, tenant: TenantSlug = ACME, **values: Any
) -> SignalId:
    name = values.pop("name", "message.received")
    payload = {"n": n, **values.pop("payload", {})}
    occurred_at = NOON + timedelta(minutes=n)
    async with house.tenancy.session(tenant) as session:
        new = NewSignal(name, payload, PERSON, occurred_at=occurred_at, **values)
        return (await emit(session, registry, new)).id


async def again(
    house: House, registry: Registry, tenant: TenantSlug = ACME, **chosen: Any
) -> tuple[int, int]:
    async with house.tenancy.session(tenant) as session:
        return await replay(session, registry, Chosen(**chosen), PERSON)


async def test_a_replay_calls_the_handlers_and_repeats_no_effect(house: House, answering: Answering) -> None:
    for n in range(3):
        await receive(house, answering.registry, n)
    await run_out(house, answering.registry)
    assert await again(house, answering.registry, name="message.received") == (3, 3)
    await run_out(house, answering.registry)
    assert sorted(answering.handled) == [0, 0, 1, 1, 2, 2]
    assert len(answering.far.done()) == 3
    rows = await house.tenant_rows(
        ACME, "select payload, actor_id from signals where name = 'signals.replayed'"
    )
    assert [row["actor_id"] for row in rows] == ["u1"]


async def test_an_effect_that_was_lost_is_made_up_for_by_a_replay(house: House, answering: Answering) -> None:
    await receive(house, answering.registry, 1)
    await house.rows("delete from public.job")
    await again(house, answering.registry, name="message.received")
    await run_out(house, answering.registry)
    assert len(answering.far.done()) == 1


async def test_signals_are_chosen_by_id_by_name_and_by_time(house: House, answering: Answering) -> None:
    ids = [await receive(house, answering.registry, n) for n in range(4)]
    await receive(house, answering.registry, 9, name="message.edited")
    await run_out(house, answering.registry)
    answering.handled.clear()
    choices: list[tuple[dict[str, Any], list[int]]] = [
        ({"ids": [ids[2], ids[0]]}, [0, 2]),
        ({"name": "message.edited"}, [9]),
        ({"name": "message.e*"}, [9]),
        ({"name": "message.*", "since": NOON + timedelta(minutes=3)}, [3, 9]),
        ({"since": NOON + timedelta(minutes=2), "until": NOON + timedelta(minutes=3)}, [2]),
        ({"since": NOON + timedelta(minutes=2), "name": "message.received"}, [2, 3]),
        ({"ids": ids, "until": NOON + timedelta(minutes=1)}, [0]),
    ]
    for chosen, expected in choices:
        await again(house, answering.registry, **chosen)
        await run_out(house, answering.registry)
        assert answering.handled == expected
        answering.handled.clear()


@pytest.mark.parametrize("chosen", [{}, {"ids": []}, {"ids": ()}])
async def test_a_replay_of_everything_is_refused(
    house: House, answering: Answering, chosen: dict[str, Any]
) -> None:
    await receive(house, answering.registry, 1)
    with pytest.raises(InvalidInput, match="Say which signals: by id, name or time"):
        await again(house, answering.registry, **chosen)


async def test_a_replay_of_too_many_is_refused_and_not_cut_short(
    house: House, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetprompt.runtime.signals.replay.REPLAY_LIMIT", 2)
    for n in range(3):
        await receive(house, answering.registry, n)
    with pytest.raises(InvalidInput, match="More than 2 signals are meant"):
        await again(house, answering.registry, name="message.received")


async def test_a_replay_keeps_the_lane_and_its_order(house: House, answering: Answering) -> None:
    for n in (3, 1, 2):
        await receive(house, answering.registry, n, lane="room", position=n)
    await run_out(house, answering.registry)
    await again(house, answering.registry, name="message.received")
    await run_out(house, answering.registry)
    assert answering.handled == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    "payload", [{"lane": 7}, {"position": "top"}, {"lane": "x", "position": None}, {"lane": {}}]
)
async def test_a_payload_that_happens_to_speak_of_lanes_can_be_replayed(
    house: House, answering: Answering, payload: dict[str, Any]
) -> None:
    await receive(house, answering.registry, 1, payload=payload)
    await run_out(house, answering.registry)
    assert await again(house, answering.registry, name="message.received") == (1, 1)
    await run_out(house, answering.registry)
    assert answering.handled == [1, 1]


async def test_a_replay_hands_out_no_signal_of_another_tenant(house: House, answering: Answering) -> None:
    signal_id = await receive(house, answering.registry, 1, GLOBEX)
    await run_out(house, answering.registry)
    choices: list[dict[str, Any]] = [{"ids": [signal_id]}, {"name": "message.received"}, {"name": "*"}]
    for chosen in choices:
        with pytest.raises(NotFound, match="No signal matches"):
            await again(house, answering.registry, **chosen)
    assert await house.tenant_rows(ACME, "select 1 from signals") == []


AGED = (
    "insert into signals (id, name, correlation_id, actor_kind, actor_id, actor_name, payload, retention, occurred_at,"
    " created_at) select gen_random_uuid(), 'x', gen_random_uuid(), 'system', '', '', '{}', $1, now(),"
    " now() - make_interval(days => $2) from generate_series(1, $3)"
)


async def test_each_class_of_signals_is_kept_for_its_time_and_removed_in_batches(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for kind, days in [("standard", 31), ("lifecycle", 366), ("audit", 3651), ("unheard_of", 9999)]:
        await house.tenant_rows(ACME, AGED, kind, days, 7)
        await house.tenant_rows(ACME, AGED, kind, days - 2, 2)
    await house.tenant_rows(GLOBEX, AGED, "standard", 31, 1)
    registry = Registry()
    registry.add_job(retention.retention_kind(retention.retention_days(30)))
    await add(house, NewJob(retention.NAME, {}))
    assert await run_out(house, registry) == ["finished"]
    rows = await house.tenant_rows(ACME, "select retention, count(*) from signals group by 1 order by 1")
    assert [tuple(row) for row in rows] == [
        ("audit", 2),
        ("lifecycle", 2),
        ("standard", 2),
        ("unheard_of", 9),
    ]
    assert len(await house.tenant_rows(GLOBEX, "select id from signals")) == 1


def test_a_long_standard_is_no_longer_than_the_others() -> None:
    assert retention.retention_days(5000) == {"standard": 5000, "lifecycle": 5000, "audit": 5000}
