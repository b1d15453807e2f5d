"""The order desk: what it answers, and what its idempotency keys promise."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import httpx2
import pytest

from fleetprompt.sandbox.order_desk import OrderDesk


@pytest.fixture
async def desk() -> AsyncIterator[OrderDesk]:
    async with OrderDesk() as desk:
        yield desk


@pytest.fixture
async def client(desk: OrderDesk) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=desk.url, trust_env=False) as client:
        yield client


async def hold(client: httpx2.AsyncClient, number: str, key: str) -> httpx2.Response:
    return await client.post(
        f"/orders/{number}/hold", json={"reason": "late"}, headers={"Idempotency-Key": key}
    )


async def test_an_order_is_shown(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/orders/1042")
    assert answer.json() | {"eta": ""} == {
        "number": "1042",
        "status": "delayed",
        "item": "Walnut desk",
        "customer": "Ines Okafor",
        "eta": "",
        "on_hold": False,
    }
    assert date.fromisoformat(answer.json()["eta"]) > datetime.now(UTC).date()
    assert (await client.get("/orders/1234")).json()["status"] == "shipped"


async def test_an_unknown_order_is_not_found(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/orders/9999")).status_code == 404
    assert (await hold(client, "9999", "k")).status_code == 404


async def test_orders_are_listed_by_status(client: httpx2.AsyncClient) -> None:
    delayed = (await client.get("/orders", params={"status": "delayed"})).json()
    assert "1042" in {order["number"] for order in delayed}
    assert {order["status"] for order in delayed} == {"delayed"}


async def test_the_same_key_places_one_hold(client: httpx2.AsyncClient, desk: OrderDesk) -> None:
    first, second = await hold(client, "1042", "key/1"), await hold(client, "1042", "key/1")
    assert first.json() == {"number": "1042", "hold_id": "H-0001", "repeated": False}
    assert second.json() == {"number": "1042", "hold_id": "H-0001", "repeated": True}
    assert [(entry.number, entry.key) for entry in desk.ledger] == [("1042", "key/1")]
    assert (await client.get("/orders/1042")).json()["on_hold"] is True


async def test_a_key_of_another_order_is_refused(client: httpx2.AsyncClient, desk: OrderDesk) -> None:
    await hold(client, "1042", "k")
    assert (await hold(client, "1043", "k")).status_code == 409
    assert len(desk.ledger) == 1


async def test_a_hold_without_a_key_is_refused(client: httpx2.AsyncClient, desk: OrderDesk) -> None:
    assert (await client.post("/orders/1042/hold", json={})).status_code == 400
    assert not desk.ledger


async def test_a_hold_whose_answer_was_lost_is_found_by_its_key(
    client: httpx2.AsyncClient, desk: OrderDesk
) -> None:
    desk.commit_then_drop(1)
    with pytest.raises(httpx2.RemoteProtocolError):
        await hold(client, "1042", "lost/1:a")
    assert (await client.get("/holds/lost/1:a")).json() == {
        "number": "1042",
        "hold_id": "H-0001",
        "reason": "late",
    }
    assert (await client.get("/holds/never")).status_code == 404


async def test_a_failed_request_does_nothing(client: httpx2.AsyncClient, desk: OrderDesk) -> None:
    desk.fail_5xx(1, 503)
    assert (await hold(client, "1042", "k")).status_code == 503
    assert not desk.ledger
    assert (await hold(client, "1042", "k")).json()["repeated"] is False


async def test_faults_are_armed_over_http(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/sandbox/faults/fail_5xx", json={"count": 1})).status_code == 200
    assert (await client.get("/orders/1042")).status_code == 502
    assert (await client.get("/sandbox/ledger")).json() == []
    assert (await client.post("/sandbox/faults/fail_5xx", json={"often": 1})).status_code == 400
    assert (await client.post("/sandbox/faults/stop", json={})).status_code == 404


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "fleetprompt.sandbox.order_desk", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert httpx2.get(f"{url}/orders/1234", trust_env=False).json()["number"] == "1234"
        process.terminate()
        assert process.wait(5) == 0
