"""The `builtin` planner: the next step of a request, without a language model.

It is deterministic and pure: the same conversation gives the same step, so a resumed run goes on where it was. What is
wanted is read from the last thing that a person said, and from nothing else: what tools return is only repeated.
First come the tools that only read, then those that change something; if anything in the message was not surely
understood, nothing is changed, and it asks. The agent's instructions mean nothing to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from fleetprompt.kernel.json import canonical
from fleetprompt.runtime.llm.types import (
    BUILTIN,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
    Usage,
    reply_to_raw,
)

from . import answers
from .templates import Repertoire
from .thread import Turn, last_turn
from .understanding import Wanted, Wishes, understand

MAX_CALLS: Final = 10


def plan(request: ModelRequest) -> ModelReply:
    """Call tools, ask, or answer. Costs nothing and counts no tokens."""
    known = _known(tuple(_Same(tool) for tool in request.tools))
    turn = last_turn(request.messages)
    wishes = understand(turn, known) if turn else Wishes()
    if turn and (pending := _pending(wishes, turn)):
        return _acts(pending, request)
    said = _report(turn, wishes) if turn else ""
    return _reply(answers.signed(said or answers.abilities(request.tools, known)), (), "stop")


class _Same:
    """A tool by its identity: the house makes each once, and its schema has no hash."""

    __slots__ = ("tool",)

    def __init__(self, tool: ToolSpec) -> None:
        self.tool = tool

    def __hash__(self) -> int:
        return id(self.tool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.tool is self.tool


@lru_cache(maxsize=64)
def _known(tools: tuple[_Same, ...]) -> Repertoire:
    """What is known of these tools; it takes longer than the rest of a plan."""
    return Repertoire([same.tool for same in tools])


def _pending(wishes: Wishes, turn: Turn) -> list[Wanted]:
    """The next calls: all that read, then, if those worked, all that change something."""
    done = {_key(returned.call.name, returned.call.arguments) for returned in turn.results}
    for stage in (wishes.reads, wishes.effects):
        left = [wanted for wanted in stage if _key(wanted.tool, wanted.arguments) not in done]
        if left and not (stage is wishes.effects and _has_failed(turn)):
            return left[:MAX_CALLS]
    return []


def _has_failed(turn: Turn) -> bool:
    return any(returned.failed for returned in turn.results)


def _report(turn: Turn, wishes: Wishes) -> str:
    """What came of it, and what is still open."""
    lines = [answers.result(returned) for returned in turn.results]
    done = {_key(returned.call.name, returned.call.arguments) for returned in turn.results}
    undone = [w for w in wishes.effects if _key(w.tool, w.arguments) not in done]
    if undone and _has_failed(turn):
        lines.append(answers.undone(wanted.tool for wanted in undone))
    return "\n".join([*lines, *wishes.asks])


def _key(tool: str, arguments: dict[str, Any] | None) -> str:
    return canonical([tool, arguments])


def _acts(pending: Sequence[Wanted], request: ModelRequest) -> ModelReply:
    # A call's id pairs it with its result when another model continues the conversation, so it differs each time.
    said = "\x1f".join(repr(message) for message in request.messages)
    seed = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:12]
    calls = tuple(
        ToolCall(i, w.tool, w.arguments, canonical(w.arguments), f"builtin_{seed}_{i}")
        for i, w in enumerate(pending)
    )
    return _reply("", calls, "tool_call")


def _reply(text: str, calls: tuple[ToolCall, ...], finish: str) -> ModelReply:
    reply = ModelReply(text, calls, Usage(), Decimal(0), BUILTIN, 0, finish, {})
    return replace(reply, raw=reply_to_raw(reply))
