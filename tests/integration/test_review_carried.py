"""A broker's messages while Postgres stumbles between two statements, and brokers that are there in part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from taskiq import AckableMessage, InMemoryBroker

from fleetprompt.runtime.jobs import NewJob, dispatch
from fleetprompt.runtime.jobs.carried import CarriedBroker
from fleetprompt.runtime.jobs.carriers import Carrier
from fleetprompt.runtime.jobs.link import Link
from tests.house import House, fresh_house
from tests.jobs import add, all_done, prepare, until, working

NOBODY = "nats://127.0.0.1:1"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def _away(*_: Any) -> None:
    raise ConnectionResetError


async def test_what_was_claimed_is_run_though_the_rest_could_not_be_handed_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message is good, one a duplicate; Postgres goes away between the claim and the handing back."""
    settings = {"slots": 4, "lease_s": 30.0, "poll_every_s": 0.1, "check_every_s": 1.0}
    broker = CarriedBroker(NOBODY, house.database, "w", lambda: ["mark"], **settings)  # type: ignore[arg-type]
    good, old = await add(house, NewJob("mark", {}), NewJob("mark", {}))
    await house.rows("update public.job set state = 'dispatched', lease_until = now() + interval '1 minute'")
    await house.rows("update public.job set attempt = 1 where id = $1", old)
    acked: list[bytes] = []
    for message in broker._envelope({good: 0, old: 0}):
        broker.link.arrived.append(_message(message.message, acked))
    monkeypatch.setattr(dispatch, "hand_back", _away)
    claimed = await broker._claim()
    assert [job.id for job in claimed] == [good]
    assert [fence.job_id for fence in broker.held] == [good]
    assert len(acked) == 2
    assert broker.link.arrived == []


def _message(data: bytes, acked: list[bytes]) -> AckableMessage:
    return AckableMessage(data=data, ack=lambda: acked.append(data))


async def test_a_broker_that_cannot_even_be_set_up_keeps_no_job_from_running(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the role may not ask for the server's own name, of which the queue's is made."""
    monkeypatch.setattr("fleetprompt.runtime.jobs.carried.queue_name", _away)
    async with working(house, broker_url=NOBODY):
        await add(house, NewJob("mark", {}))
        await until(lambda: all_done(house), within_s=10)


class _Unreadable(InMemoryBroker):
    """A broker that lets everybody in and nobody read, as for want of a right."""

    async def listen(self) -> AsyncGenerator[bytes, None]:
        for message in list[bytes]():
            yield message
        raise PermissionError


async def test_a_broker_that_lets_us_in_and_not_read_is_asked_ever_more_seldom() -> None:
    asked: list[Carrier] = []

    async def make() -> Carrier:
        asked.append(Carrier(_Unreadable(), _away))
        return asked[-1]

    link = Link(make, lambda: True, lambda: None, lambda: None, 1.0)
    link.start()
    await asyncio.sleep(1.5)
    await link.stop()
    assert 1 < len(asked) < 8  # 0.1 s, 0.2 s, 0.4 s, 0.8 s, each at least half of it
