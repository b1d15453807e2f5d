"""What an agent may do with orders. Registered when FLEETPROMPT_ORDER_DESK_URL is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.errors import AdapterError
from adapters.order_desk import Order, OrderDeskClient
from fleetprompt.connectors.order_desk.effector import HoldEffector
from fleetprompt.model import Directive
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.llm.types import Example
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.tools import SideEffect, Tool, ToolContext, ToolFailure
from fleetprompt.tenancy import TenantSession

HELD = "orders.hold.placed"
NUMBER = r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$"

ONE = {"number": "1042"}
DELAYED = {"status": "delayed"}
WHY = {**ONE, "reason": "the customer asked"}
LOOKUPS = (
    Example("where is order {number}", ONE),
    Example("where is {number}", ONE),
    Example("what is the status of order {number}", ONE),
    Example("look up order {number}", ONE),
    Example("when does order {number} arrive", ONE),
    Example("is order {number} on hold", ONE),
)
LISTS = (
    Example("which orders are {status}", DELAYED),
    Example("list {status} orders", DELAYED),
    Example("show all {status} orders", DELAYED),
    Example("list orders", {}),
)
HOLDS = (
    Example("hold order {number} because {reason}", WHY),
    Example("put order {number} on hold because {reason}", WHY),
    Example("put order {number} on hold", ONE),
)


class OrderNumber(BaseModel):
    """Which order."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=NUMBER, description="The order's number, such as 1042.")


class OrderStatus(BaseModel):
    """Which orders."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["processing", "delayed", "shipped", "delivered"] | None = Field(
        default=None, description="Only orders in this state."
    )


class OrderHold(BaseModel):
    """Which order, and why."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=NUMBER, description="The order's number, such as 1042.")
    reason: str = Field(min_length=1, max_length=500, description="Why it is held.")


def register_orders(registry: Registry, client: OrderDeskClient) -> None:
    """Two tools that read, one directive, one tool that asks for it."""
    registry.add_signal(HELD, "An order was put on hold.")
    registry.add_directive(
        DirectiveType(
            "orders.hold",
            "Put an order on hold.",
            OrderHold,
            HoldEffector(client),
            delivered=_tell_held(registry),
        )
    )
    for tool in _tools(client):
        registry.add_tool(tool)


def _tools(client: OrderDeskClient) -> tuple[Tool, ...]:
    """Neither reader gives back words that a customer wrote: number, state, date, an item of our own catalogue."""

    async def lookup(context: ToolContext, arguments: OrderNumber) -> Any:
        found = await _asked(client.order(arguments.number))
        if found is None:
            raise ToolFailure(f"There is no order {arguments.number}.")
        return _told(found)

    async def listed(context: ToolContext, arguments: OrderStatus) -> Any:
        return [_told(order) for order in await _asked(client.orders(arguments.status or ""))]

    look = "Look an order up: its state, its item, when it arrives, whether it is on hold."
    every = "List orders, all or those of one state."
    stop = "Put an order on hold, so that it is not shipped."
    return (
        Tool("orders.lookup", look, OrderNumber, "orders:read", run=lookup, examples=LOOKUPS, taints=False),
        Tool("orders.list", every, OrderStatus, "orders:read", run=listed, examples=LISTS, taints=False),
        Tool(
            "orders.hold",
            stop,
            OrderHold,
            "orders:write",
            side_effect=SideEffect.REVERSIBLE,
            directive="orders.hold",
            examples=HOLDS,
            taints=False,  # a receipt is an id and a flag
        ),
    )


def _told(order: Order) -> dict[str, Any]:
    """The order, and what it means in a sentence."""
    due = f", due {order.eta}" if order.eta and order.status != "delivered" else ""
    held = " It is on hold." if order.on_hold else ""
    return {**asdict(order), "summary": f"Order {order.number} ({order.item}) is {order.status}{due}.{held}"}


async def _asked(call: Any) -> Any:
    """A read's answer; a fault in words for the model."""
    try:
        return await call
    except AdapterError as error:
        raise ToolFailure(f"The order desk cannot be asked now: {error.detail}.") from error


def _tell_held(registry: Registry) -> Any:
    async def delivered(
        session: TenantSession, directive: Directive, receipts: Sequence[dict[str, Any]]
    ) -> None:
        payload = {
            "number": directive.arguments["number"],
            "hold_id": receipts[0].get("hold_id"),
            "directive_id": str(directive.id),
        }
        new = NewSignal(
            HELD,
            payload,
            Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
            dedupe_key=f"{HELD}:{directive.id}",
            correlation_id=directive.correlation_id,
            causation_id=directive.id,
            conversation_id=directive.conversation_id,
        )
        await emit(session, registry, new)

    return delivered
