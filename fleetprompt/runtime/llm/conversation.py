"""Our conversation in the form that pydantic-ai sends. Imports pydantic_ai: only `wire` imports this."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as WireRequest
from pydantic_ai.tools import ToolDefinition

from .types import (
    AssistantActs,
    AssistantSays,
    Message,
    ModelRequest,
    PersonSays,
    SystemNote,
    ToolCall,
    ToolReturned,
    ToolSpec,
)

NO_RESULT = "No result was recorded for this call."


class ToolNames:
    """Our tool names as a provider accepts them, `^[a-zA-Z0-9_-]{1,64}$` (OpenAI and Anthropic), and back."""

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self._ours: dict[str, str] = {}
        for tool in tools:
            self._ours.setdefault(self._free(tool.name), tool.name)
        self._wire = {ours: wire for wire, ours in self._ours.items()}

    def to_wire(self, name: str) -> str:
        return self._wire.get(name) or _acceptable(name)

    def from_wire(self, name: str) -> str:
        return self._ours.get(name, name)

    def _free(self, name: str) -> str:
        wire, count = _acceptable(name), 1
        while self._ours.get(wire, name) != name:
            count += 1
            wire = f"{_acceptable(name)[:60]}_{count}"
        return wire


def _acceptable(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def instructions(request: ModelRequest) -> str:
    """The instructions, with our notes about the conversation; no provider takes those in between alike."""
    notes = (message.text for message in request.messages if isinstance(message, SystemNote))
    return "\n\n".join(part for part in (request.instructions, *notes) if part)


def definitions(tools: Iterable[ToolSpec], names: ToolNames) -> list[ToolDefinition]:
    """The tools, as pydantic-ai declares them."""
    return [
        ToolDefinition(
            name=names.to_wire(tool.name),
            description=tool.description,
            parameters_json_schema=tool.parameters,
        )
        for tool in tools
    ]


def to_wire(request: ModelRequest, names: ToolNames) -> list[ModelMessage]:
    """The messages, alternating as providers demand, each call followed by exactly one result."""
    wire: list[ModelMessage] = []
    for position, message in enumerate(request.messages):
        match message:
            case PersonSays():
                _ask(wire, [UserPromptPart(f"{' '.join(message.name.split())}: {message.text}")])
            case AssistantSays():
                wire.append(
                    ModelResponse(parts=[TextPart(message.text or "(nothing)")])
                )  # empty text is refused
            case AssistantActs():
                wire.append(_response(message, names))
                _ask(wire, _results(message, request.messages[position + 1 :], names))
            case ToolReturned() | SystemNote():
                pass  # the first follow their calls, the others are part of the instructions
    return wire


def _ask(wire: list[ModelMessage], parts: Sequence[ModelRequestPart]) -> None:
    if wire and isinstance(wire[-1], WireRequest):
        parts = [*wire.pop().parts, *parts]
    if parts:
        wire.append(WireRequest(parts=parts))


def _response(message: AssistantActs, names: ToolNames) -> ModelResponse:
    """The provider's own response if we kept one (it may hold signed reasoning), or one made from its calls."""
    stored = (message.raw or {}).get("response")
    if stored:
        try:
            [replayed] = ModelMessagesTypeAdapter.validate_python([stored])
        except (ValidationError, ValueError):  # written by another version
            pass
        else:
            if isinstance(replayed, ModelResponse):
                return replayed
    parts: list[ModelResponsePart] = [TextPart(message.text)] if message.text else []
    parts += [
        ToolCallPart(names.to_wire(call.name), _arguments(call), tool_call_id=call.provider_id)
        for call in message.calls
    ]
    return ModelResponse(parts=parts)


def _arguments(call: ToolCall) -> dict[str, object] | str:
    return call.raw_arguments if call.arguments is None else call.arguments


def _results(message: AssistantActs, later: Sequence[Message], names: ToolNames) -> list[ToolReturnPart]:
    """A result for each call: providers refuse a conversation in which one is missing (a run that was cut short)."""
    found: dict[str, ToolReturned] = {}
    for other in later:
        if isinstance(other, AssistantActs):
            break  # some servers use the same call ids again in each response
        if isinstance(other, ToolReturned):
            found.setdefault(other.call.provider_id, other)
    return [_result(call, found.get(call.provider_id), names) for call in message.calls]


def _result(call: ToolCall, returned: ToolReturned | None, names: ToolNames) -> ToolReturnPart:
    return ToolReturnPart(
        names.to_wire(call.name),
        returned.content if returned else NO_RESULT,
        tool_call_id=call.provider_id,
        outcome="failed" if returned is None or returned.failed else "success",
    )
