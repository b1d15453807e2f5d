"""What a run does next: a pure function of what is recorded, so that a resumed run decides as the first one did."""

from __future__ import annotations

from dataclasses import dataclass

from fleetprompt.model import ToolCallRecord
from fleetprompt.runtime.executions.record import Run, over_limit
from fleetprompt.runtime.llm import Limit
from fleetprompt.runtime.tools import SideEffect


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model for this step."""

    step: int


@dataclass(frozen=True, slots=True)
class ReadWithTool:
    """Run a tool that only reads; running it again after a crash changes nothing."""

    call: ToolCallRecord


@dataclass(frozen=True, slots=True)
class RequestDirective:
    """A tool with a side effect: ask for its directive, and wait."""

    call: ToolCallRecord


@dataclass(frozen=True, slots=True)
class Wait:
    """A directive is on its way; its end wakes this run."""

    call: ToolCallRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """The model has nothing more to do: this is the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A limit is reached."""

    limit: Limit


Action = CallModel | ReadWithTool | RequestDirective | Wait | Answer | Stop


def next_action(run: Run) -> Action:
    """Calls are worked off one after the other, in the order in which the model asked for them."""
    for call in run.open_calls:
        if call.state == "waiting":
            return Wait(call)
        return ReadWithTool(call) if call.side_effect == SideEffect.NONE else RequestDirective(call)
    if run.replies and not run.replies[-1].calls:
        return Answer(run.replies[-1].text)
    limit = over_limit(run)
    return Stop(limit) if limit is not None else CallModel(len(run.replies))
