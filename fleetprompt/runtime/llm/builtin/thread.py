"""What a thread says about the request: who asked, what was said before, what has been done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleetprompt.runtime.llm.types import (
    AssistantActs,
    AssistantSays,
    Message,
    PersonSays,
    ToolReturned,
)

from .align import IT, items
from .reading import Reading, label_before, read_message
from .slots import Slot
from .templates import Repertoire, Template
from .words import Kind, readable, tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """The last thing a person said, what came before it, and what was done about it since."""

    asked: PersonSays
    before: tuple[Message, ...]
    results: tuple[ToolReturned, ...]


def last_turn(messages: Sequence[Message]) -> Turn | None:
    """The turn that is to be answered. Only its `asked` may cause anything."""
    positions = [i for i, message in enumerate(messages) if isinstance(message, PersonSays)]
    if not positions:
        return None
    asked = messages[positions[-1]]
    assert isinstance(asked, PersonSays)
    later = messages[positions[-1] + 1 :]
    results = tuple(message for message in later if isinstance(message, ToolReturned))
    return Turn(asked, tuple(messages[: positions[-1]]), results)


def answers_to(turn: Turn, question_mark: str) -> list[tuple[str, tuple[str, ...]]]:
    """The person's earlier requests that this message may answer a question about, with all answers since.

    Nearest first. Only an unbroken chain counts: request, our question, answer, our question, answer.
    """
    chains = []
    answers: tuple[str, ...] = (turn.asked.text,)
    before = turn.before
    while len(before) >= 2:
        said, question = before[-2], before[-1]
        is_chain = isinstance(question, AssistantSays) and question_mark in question.text
        if not is_chain or not isinstance(said, PersonSays) or said.name != turn.asked.name:
            break
        chains.append((said.text, answers))
        answers = (said.text, *answers)
        before = before[:-2]
    return chains


def said_before(turn: Turn, slot: Slot, template: Template, known: Repertoire) -> tuple[list[Any], list[Any]]:
    """The values for a slot in the thread: the same person's, and those that anybody else mentioned."""
    own: list[Any] = []
    others: list[Any] = []
    for message in turn.before:
        match message:
            case PersonSays() if message.name == turn.asked.name:
                own += values_in(message.text, slot, template, known)
            case PersonSays() | AssistantSays() | AssistantActs():
                others += labelled(message.text, slot, template, known)
            case _:
                pass  # what a tool returned is nobody's word
    return _distinct(own), _distinct(others)


def values_in(text: str, slot: Slot, template: Template, known: Repertoire) -> list[Any]:
    """The values for a slot that a person's text gives, by what it asks for or by the words before them."""
    readings = (reading for reading in read_message(text, known) if isinstance(reading, Reading))
    asked_for = [value for reading in readings for value in bound(reading, slot, template, known)]
    return _distinct([*asked_for, *labelled(text, slot, template, known)])


def bound(reading: Reading, slot: Slot, template: Template, known: Repertoire) -> tuple[Any, ...]:
    """What a reading binds to the same kind of thing: {number} of an order is no {number} of an invoice."""
    theirs = reading.template.slot(slot.name)
    if not reading.is_sure or theirs is None or theirs.holds is not slot.holds:
        return ()
    ours_called = known.labels(slot, template.tool.name)
    theirs_called = known.labels(theirs, reading.template.tool.name)
    if reading.template.tool is not template.tool and not set(ours_called) & set(theirs_called):
        return ()
    return tuple(value for value in reading.bindings.get(slot.name, ()) if value is not IT)


def labelled(text: str, slot: Slot, template: Template, known: Repertoire) -> list[Any]:
    """The values that stand behind the slot's word: "order 1042"."""
    called = known.labels(slot, template.tool.name)
    said = items(tokens(readable(text)))
    found: list[Any] = []
    for position, item in enumerate(said):
        label = label_before(said, position) if item.first.kind is Kind.ID else None
        if label is not None and (label in called or label.removesuffix("s") in called):
            found += [value for token in item.tokens if (value := slot.read(token)) is not None]
    return found


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
