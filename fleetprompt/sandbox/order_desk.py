"""A small order system on loopback: what the demo's agent reads and changes.

    GET  /orders                       -> [order, ...]; ?status=delayed filters
    GET  /orders/{number}              -> {number, status, item, customer, eta, on_hold}; 404 {error}
    POST /orders/{number}/hold         -> {number, hold_id, repeated}; needs the header Idempotency-Key, body {reason}
    GET  /holds/{idempotency key}      -> {number, hold_id, reason}; 404 {error} when there is none
    GET  /sandbox/ledger               -> every hold that was placed, in order
    POST /sandbox/faults/{name}        -> a method of `OrderDesk` with the JSON object as its arguments

The same key again places no second hold; with another order it is a 409. Runnable:
`python -m fleetprompt.sandbox.order_desk --port N`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from fleetprompt.sandbox.faults import Fault, Faults
from fleetprompt.sandbox.loopback import LoopbackServer
from fleetprompt.sandbox.messages import Answer, Cut, Request, Response, json_response
from fleetprompt.sandbox.serving import serve
from fleetprompt.sandbox.websocket import SocketListener

FAULTS: Final = frozenset({"clear_faults", "commit_then_drop", "drop_requests", "fail_5xx", "freeze"})


@dataclass(slots=True)
class Order:
    """One order. status: processing, delayed, shipped or delivered. eta: an ISO date, "" = unknown."""

    number: str
    status: str
    item: str
    customer: str
    eta: str
    on_hold: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold that was placed. arrival: 1, 2, 3 ... in order of arrival."""

    arrival: int
    hold_id: str
    number: str
    reason: str
    key: str


# number, status, item, customer, eta in days from the start of the desk (None = unknown)
_SEED: Final[tuple[tuple[str, str, str, str, int | None], ...]] = (
    ("1042", "delayed", "Walnut desk", "Ines Okafor", 10),
    ("1043", "processing", "Desk lamp", "Milan Novak", 1),
    ("1044", "shipped", "Office chair", "Priya Raman", 1),
    ("1045", "delivered", "Monitor arm", "Jonas Weber", -10),
    ("1051", "processing", "Filing cabinet", "Amara Diallo", 4),
    ("1058", "delayed", "Standing desk", "Lena Fischer", None),
    ("1077", "shipped", "Cable tray", "Tomas Silva", 1),
    ("1080", "processing", "Bookshelf", "Yuki Tanaka", 7),
    ("1101", "processing", "Meeting table", "Olu Adeyemi", 22),
    ("1102", "delivered", "Whiteboard", "Sofia Rossi", -14),
    ("1117", "delayed", "Acoustic panel", "Noah Klein", 17),
    ("1120", "shipped", "Footrest", "Hana Kim", 3),
    ("1138", "processing", "Drawer unit", "Luis Ortega", 3),
    ("1150", "delivered", "Coat stand", "Mei Lin", -19),
    ("1199", "processing", "Room divider", "Aisha Rahman", 19),
    ("1200", "shipped", "Desk mat", "Erik Larsen", 2),
    ("1234", "shipped", "Oak sideboard", "Dana Berg", 2),
    ("1235", "processing", "Task light", "Ravi Patel", 5),
    ("1300", "delayed", "Conference phone", "Clara Dupont", 25),
    ("1313", "processing", "Plant shelf", "Samuel Osei", 8),
)


def _seeded() -> Iterator[Order]:
    today = datetime.now(UTC).date()
    for number, status, item, customer, days in _SEED:
        eta = "" if days is None else (today + timedelta(days)).isoformat()
        yield Order(number, status, item, customer, eta)


class OrderDesk:
    """The order system. Everything is in memory and gone with the object."""

    def __init__(self, port: int = 0) -> None:
        self.orders = {order.number: order for order in _seeded()}
        self.http = LoopbackServer(self, port)
        self._holds: list[Hold] = []
        self._by_key: dict[str, Hold] = {}
        self._faults = Faults()

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        return self.http.url

    @property
    def ledger(self) -> Sequence[Hold]:
        """Every hold that was placed, in order; never changed afterwards."""
        return self._holds

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self.http.start()

    async def stop(self) -> None:
        """Cut all connections; idempotent."""
        await self.http.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def fail_5xx(self, count: int, status: int = 502, *, only: str = "") -> None:
        """Fail the next requests before they do anything. only: as in `Fault`."""
        self._faults.arm(Fault("5xx", count, only, status))

    def drop_requests(self, count: int, *, only: str = "") -> None:
        """Cut the connection of the next requests before they do anything."""
        self._faults.arm(Fault("cut", count, only))

    def commit_then_drop(self, count: int, *, only: str = "POST /orders/") -> None:
        """Carry the next requests out and cut the connection instead of answering."""
        self._faults.arm(Fault("commit_then_drop", count, only))

    def freeze(self, seconds: float) -> None:
        """Accept connections and answer nothing; what was sent meanwhile is carried out afterwards."""
        self.http.freeze(seconds)

    def clear_faults(self) -> None:
        """Disarm what is left."""
        self._faults.clear()

    def accept(self, request: Request) -> SocketListener | Response:
        """There are no websockets here."""
        return _error(404, "no such page")

    def answer(self, request: Request) -> Answer:
        """Carry out one request."""
        if request.path.startswith("/sandbox/"):
            return self._control(request)
        fault = self._faults.take(request, "5xx", "cut")
        if fault:
            return Cut() if fault.kind == "cut" else _error(int(fault.value), "out of order")
        dropped = self._faults.take(request, "commit_then_drop")
        answer = self._carry_out(request)
        return Cut() if dropped else answer

    def _carry_out(self, request: Request) -> Response:
        match request.method, request.path.split("/")[1:]:
            case "GET", ["orders"]:
                return self._list(request.query.get("status", ""))
            case "GET", ["orders", number]:
                return self._show(number)
            case "POST", ["orders", number, "hold"]:
                return self._hold(number, request)
            case "GET", ["holds", *parts]:  # a key may hold slashes
                return self._look_up("/".join(parts))
        return _error(404, "no such page")

    def _list(self, status: str) -> Response:
        found = [asdict(order) for order in self.orders.values() if status in ("", order.status)]
        return json_response(200, found)

    def _show(self, number: str) -> Response:
        order = self.orders.get(number)
        return json_response(200, asdict(order)) if order else _error(404, "no such order")

    def _hold(self, number: str, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        known = self._by_key.get(key)
        if number not in self.orders:
            return _error(404, "no such order")
        if not key:
            return _error(400, "the header Idempotency-Key is missing")
        if known and known.number != number:
            return _error(409, "the idempotency key belongs to another order")
        hold = known or self._place(number, key, _reason(request))
        return json_response(200, {"number": number, "hold_id": hold.hold_id, "repeated": known is not None})

    def _place(self, number: str, key: str, reason: str) -> Hold:
        arrival = len(self._holds) + 1
        hold = Hold(arrival, f"H-{arrival:04}", number, reason, key)
        self._holds.append(hold)
        self._by_key[key] = hold
        self.orders[number].on_hold = True
        return hold

    def _look_up(self, key: str) -> Response:
        hold = self._by_key.get(key)
        if hold is None:
            return _error(404, "no hold with this key")
        return json_response(200, {"number": hold.number, "hold_id": hold.hold_id, "reason": hold.reason})

    def _control(self, request: Request) -> Response:
        name = request.path.removeprefix("/sandbox/")
        if request.method == "GET" and name == "ledger":
            return json_response(200, [asdict(hold) for hold in self._holds])
        fault = name.removeprefix("faults/")
        if request.method != "POST" or fault not in FAULTS:
            return _error(404, "no such page")
        try:
            getattr(self, fault)(**(request.json() if request.body else {}))
        except (TypeError, ValueError) as error:
            return _error(400, str(error))
        return json_response(200, {})


def _reason(request: Request) -> str:
    try:
        body: Any = request.json()
    except ValueError:
        return ""
    return str(body.get("reason") or "") if isinstance(body, dict) else ""


def _error(status: int, message: str) -> Response:
    return json_response(status, {"error": message})


async def run(port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    await serve(OrderDesk(port))


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="A sandbox order system on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
