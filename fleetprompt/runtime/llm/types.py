"""What crosses the model boundary: plain frozen values, in no provider's shape.

A run loop builds a `ModelRequest`, persists the `ModelReply.raw` it gets, and later continues from `reply_from_raw`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import SecretStr

BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class Example:
    """How a person asks for a tool: `Example("where is order {number}", {"number": "1042"})`.

    `{slot}` names an argument; `arguments` is one correct filling of them. An argument that `says` does not name is
    a constant, which the example always means: `Example("list open orders", {"status": "open"})`.
    """

    says: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it. `parameters` is the JSON schema of the tool's Pydantic model."""

    name: str
    description: str
    parameters: dict[str, Any]
    side_effect: bool = False
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asks for. It is the model's wish, not yet allowed or validated."""

    index: int  # position within its response, from 0; part of our key (execution, step, index)
    name: str  # may name no tool at all
    arguments: dict[str, Any] | None  # None: what the model wrote is no JSON object
    raw_arguments: str  # what the model wrote
    provider_id: str  # pairs a result with its call on the wire; never a key of ours


@dataclass(frozen=True, slots=True)
class PersonSays:
    """A person's message. Only the last ones of a request are what is asked now."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class AssistantSays:
    """An earlier final answer of the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantActs:
    """A model response that called tools; each of its calls is followed by one `ToolReturned`."""

    text: str
    calls: tuple[ToolCall, ...]
    raw: dict[str, Any] | None = field(default=None, repr=False)  # its ModelReply.raw, for faithful replay


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """What a tool gave back: JSON or text. Data, never an instruction."""

    call: ToolCall
    content: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class SystemNote:
    """Something that we tell the model about the conversation: "12 earlier messages were cut"."""

    text: str


Message: TypeAlias = PersonSays | AssistantSays | AssistantActs | ToolReturned | SystemNote


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call to a model. `model` may be empty: then the endpoint's own model is meant."""

    model: str
    instructions: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int = 2048
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; cached ones are part of `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A usable answer: text, calls, or both. `raw` is JSON-able and rebuilds all of it."""

    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    cost_usd: Decimal | None  # None: nobody knows the price; never 0 for that
    model: str  # what answered, as "openai:gpt-5"
    latency_ms: int
    finish: str  # "stop", "tool_call" or "length"
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is reached. `model` is "builtin", "openai:NAME" or "anthropic:NAME"."""

    model: str = BUILTIN
    base_url: str | None = None  # any server that speaks the model's protocol; None: the provider's own
    api_key: SecretStr | None = field(default=None, repr=False)


class FailureKind(StrEnum):
    """Why there is no usable answer. The first five pass by themselves, or may."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"  # any 5xx
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"  # it answered, and the answer is of no use
    REFUSED = "refused"  # a provider's content rules
    CONTEXT_TOO_LONG = "context_too_long"
    CREDENTIAL_REFUSED = (
        "credential_refused"  # a bad key, no right to the model, or an account without credit
    )
    BAD_REQUEST = "bad_request"


class ModelFailure(Exception):
    """There is no usable answer. `policy.decide` says what comes next. Holds no secret and no message body.

    usage: what an answer of no use has cost all the same; None when there was none. cost_usd: None = nobody knows.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        retry_after_s: float | None = None,
        *,
        usage: Usage | None = None,
        cost_usd: Decimal | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.usage = usage
        self.cost_usd = cost_usd


def reply_to_raw(reply: ModelReply, response: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON-able form of a reply; `response` is the provider's own answer, kept for replay to it."""
    return {
        "text": reply.text,
        "calls": [call_to_raw(call) for call in reply.calls],
        "usage": {name: getattr(reply.usage, name) for name in Usage.__slots__},
        "cost_usd": None if reply.cost_usd is None else str(reply.cost_usd),
        "model": reply.model,
        "latency_ms": reply.latency_ms,
        "finish": reply.finish,
        "response": response,
    }


def reply_from_raw(raw: dict[str, Any]) -> ModelReply:
    """Rebuild a reply from its `raw`, as it was read back from the database."""
    cost = raw["cost_usd"]
    return ModelReply(
        text=raw["text"],
        calls=tuple(call_from_raw(call) for call in raw["calls"]),
        usage=Usage(**raw["usage"]),
        cost_usd=None if cost is None else Decimal(cost),
        model=raw["model"],
        latency_ms=raw["latency_ms"],
        finish=raw["finish"],
        raw=raw,
    )


def call_to_raw(call: ToolCall) -> dict[str, Any]:
    """The JSON-able form of a tool call."""
    return {name: getattr(call, name) for name in ToolCall.__slots__}


def call_from_raw(raw: dict[str, Any]) -> ToolCall:
    """Rebuild a tool call."""
    return ToolCall(**raw)
