"""The tools of the planner's tables: three that read, four that change something."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel

from fleetprompt.runtime.llm import (
    AssistantActs,
    Example,
    Message,
    ModelReply,
    ModelRequest,
    PersonSays,
    ToolReturned,
    ToolSpec,
)
from fleetprompt.runtime.llm.builtin import plan


class Number(BaseModel):
    number: str


class Status(BaseModel):
    status: Literal["open", "on_hold", "shipped"] = "open"


class Query(BaseModel):
    query: str


class Hold(BaseModel):
    number: str
    reason: str | None = None


class Refund(BaseModel):
    number: str
    amount: float


class Post(BaseModel):
    channel: str
    text: str


class Ticket(BaseModel):
    ticket_id: int
    reason: str


TOOLS = (
    ToolSpec(
        "order_status",
        "Where an order is and when it arrives.",
        Number.model_json_schema(),
        False,
        (
            Example("where is order {number}", {"number": "1042"}),
            Example("where is {number}", {"number": "1042"}),
            Example("what is the status of order {number}", {"number": "1042"}),
            Example("look up order {number}", {"number": "1042"}),
            Example("when does order {number} arrive", {"number": "1042"}),
        ),
    ),
    ToolSpec(
        "order_list",
        "All orders of a status.",
        Status.model_json_schema(),
        False,
        (
            Example("list {status} orders", {"status": "open"}),
            Example("which orders are {status}", {"status": "open"}),
            Example("show all {status} orders", {"status": "open"}),
            Example("list orders", {}),
        ),
    ),
    ToolSpec(
        "handbook_search",
        "What the handbook says.",
        Query.model_json_schema(),
        False,
        (
            Example("search the handbook for {query}", {"query": "parental leave"}),
            Example("what does the handbook say about {query}", {"query": "parental leave"}),
        ),
    ),
    ToolSpec(
        "order_hold",
        "Stop an order from being shipped.",
        Hold.model_json_schema(),
        True,
        (
            Example("put order {number} on hold", {"number": "1042"}),
            Example(
                "hold order {number} because {reason}", {"number": "1042", "reason": "the customer asked"}
            ),
        ),
    ),
    ToolSpec(
        "order_refund",
        "Pay money back.",
        Refund.model_json_schema(),
        True,
        (Example("refund {amount} for order {number}", {"number": "1042", "amount": 20}),),
    ),
    ToolSpec(
        "channel_post",
        "Post in a channel.",
        Post.model_json_schema(),
        True,
        (Example("post {text} in {channel}", {"channel": "general", "text": "we are live"}),),
    ),
    ToolSpec(
        "ticket_close",
        "Close a support ticket.",
        Ticket.model_json_schema(),
        True,
        (Example("close ticket {ticket_id} because {reason}", {"ticket_id": 77, "reason": "it is solved"}),),
    ),
)
EFFECTS = {tool.name for tool in TOOLS if tool.side_effect}
SIGN = "\n\n_builtin planner, no language model_"
Calls = list[tuple[str, dict[str, Any]]]


def ask(*messages: Message | str) -> ModelReply:
    """The planner's next step; a string is something that ann says."""
    said = tuple(PersonSays("ann", m) if isinstance(m, str) else m for m in messages)
    return plan(ModelRequest("builtin", "Be brief.", said, TOOLS))


def calls(reply: ModelReply) -> Calls:
    """The calls of a step, as (name, arguments)."""
    return [(call.name, call.arguments or {}) for call in reply.calls]


def acted(reply: ModelReply, *contents: Any, failed: bool = False) -> list[Message]:
    """A step as the run loop records it: the calls and what they gave."""
    texts = [content if isinstance(content, str) else json.dumps(content) for content in contents]
    returned = [ToolReturned(call, text, failed) for call, text in zip(reply.calls, texts, strict=True)]
    return [AssistantActs(reply.text, reply.calls, reply.raw), *returned]
