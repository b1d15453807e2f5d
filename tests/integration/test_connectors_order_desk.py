"""Orders as tools and a directive, on an order desk on loopback that misbehaves on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.errors import FarSideFailed, Misconfigured, OutcomeUnknown, PlaceGone, Unreachable
from adapters.order_desk import OrderDeskClient
from fleetprompt.connectors.register import register_connectors
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.house import House
from fleetprompt.packages.register import register_packages
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.tools import ToolContext, ToolFailure
from fleetprompt.sandbox.order_desk import OrderDesk
from tests.connected import OPERATOR, QUICK, build_house, until, working
from tests.house import ACME, GLOBEX, fresh_house
from tests.house import House as Base


@dataclass(slots=True)
class Desk:
    base: Base
    house: House
    orders: OrderDesk

    async def hold(self, number: str, reason: str = "late") -> UUID:
        new = NewDirective(
            "orders.hold", f"test:{uuid4()}", {"number": number, "reason": reason}, "Hold.", OPERATOR
        )
        async with self.house.tenancy.session(ACME) as session:
            return (await request(session, self.house.registry, new)).id

    async def ended(self, directive_id: UUID) -> Any:
        sql = "select * from directives where id = $1 and finished_at is not null"
        return (await until(lambda: self.base.tenant_rows(ACME, sql, directive_id)))[0]

    async def ask(self, tool: str, **arguments: Any) -> Any:
        found = self.house.registry.tools[tool]
        assert found.run is not None
        context = ToolContext(ACME, uuid4(), None, None, "dana")
        return await found.run(context, found.arguments.model_validate(arguments))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with fresh_house() as base, OrderDesk() as orders:
        house = build_house(base, QUICK.model_copy(update={"order_desk_url": orders.url}))
        register_packages(house)
        connectors = register_connectors(house)
        try:
            async with working(house):
                yield Desk(base, house, orders)
        finally:
            await connectors.close()


async def test_an_order_is_looked_up_without_anything_a_customer_wrote(desk: Desk) -> None:
    found = await desk.ask("orders.lookup", number="1042")
    assert (found["number"], found["status"], found["on_hold"]) == ("1042", "delayed", False)
    assert "customer" not in found
    delayed = await desk.ask("orders.list", status="delayed")
    assert {order["status"] for order in delayed} == {"delayed"}


async def test_an_order_that_is_not_there_is_said_so(desk: Desk) -> None:
    with pytest.raises(ToolFailure, match="no order 9999"):
        await desk.ask("orders.lookup", number="9999")


async def test_a_desk_that_is_away_is_said_so_and_a_short_fault_is_ridden_out(desk: Desk) -> None:
    desk.orders.fail_5xx(2)
    assert (await desk.ask("orders.lookup", number="1042"))["number"] == "1042"
    await desk.orders.stop()
    with pytest.raises(ToolFailure, match="cannot be asked now"):
        await desk.ask("orders.lookup", number="1042")


async def test_a_hold_is_placed_once_and_told(desk: Desk) -> None:
    row = await desk.ended(await desk.hold("1042"))
    assert (row["state"], [hold.number for hold in desk.orders.ledger]) == ("succeeded", ["1042"])
    told = await desk.base.tenant_rows(ACME, "select payload from signals where name = 'orders.hold.placed'")
    assert len(told) == 1
    assert await desk.base.tenant_rows(GLOBEX, "select 1 from signals") == []


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_requests", "fail_5xx"])
async def test_whatever_becomes_of_the_answer_there_is_one_hold(desk: Desk, fault: str) -> None:
    getattr(desk.orders, fault)(1, only="POST /orders/")
    row = await desk.ended(await desk.hold("1042"))
    assert (row["state"], len(desk.orders.ledger)) == ("succeeded", 1)


async def test_an_order_that_cannot_be_held_fails_for_good(desk: Desk) -> None:
    row = await desk.ended(await desk.hold("9999"))
    assert (row["state"], row["error_code"]) == ("failed", "place_gone")
    assert desk.orders.ledger == []


async def test_without_an_address_there_are_no_order_tools() -> None:
    async with fresh_house() as base:
        house = build_house(base)
        register_packages(house)
        await register_connectors(house).close()
        assert not [name for name in house.registry.tools if name.startswith("orders.")]
        wrong = build_house(base, QUICK.model_copy(update={"order_desk_url": "desk"}))
        register_packages(wrong)
        with pytest.raises(InvalidInput, match="ORDER_DESK_URL"):
            register_connectors(wrong)


@contextlib.asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """A server that says only this, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "read_fault", "hold_fault"),
    [
        (b"", Unreachable, OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno!", FarSideFailed, OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", FarSideFailed, OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", Unreachable, OutcomeUnknown),
        (b"nonsense\r\n\r\n", Unreachable, OutcomeUnknown),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", Misconfigured, Misconfigured),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}", None, PlaceGone),
    ],
)
async def test_every_answer_that_makes_no_sense_is_a_typed_fault(
    answer: bytes, read_fault: type[Exception] | None, hold_fault: type[Exception]
) -> None:
    async with raw_server(answer) as url:
        client = OrderDeskClient(url)
        try:
            if read_fault is None:
                assert await client.order("1042") is None
            else:
                with pytest.raises(read_fault):
                    await client.order("1042")
            with pytest.raises(hold_fault):
                await client.hold("1042", "late", "key")
        finally:
            await client.close()
