"""From what a person said to what shall be done: complete, sure, and in order, or a question."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import answers
from .align import IT, Bindings, items, passage
from .clauses import SMALL_TALK, Part
from .commands import read_command
from .reading import HINT, Reading, read_message
from .slots import Holds, Slot
from .templates import LINKS, Repertoire, Template
from .thread import Turn, answers_to, bound, labelled, said_before
from .words import Kind, readable, tokens

MAX_EFFECTS: Final = 5
_HELP: Final = frozenset({"help", "commands", "usage", "who", "is", "what", "can", "you", "do", "me", "how"})
_DROPS_IT: Final = frozenset(
    {"no", "nope", "nothing", "nevermind", "never mind", "forget it", "cancel", "stop", "none", "nobody"}
)
_ASKS_BACK: Final = [
    [word] for word in ("what", "why", "who", "how", "where", "when", "which", "huh", "hm", "hmm", "wait")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One complete tool call."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that a message asks for; `effects` is empty as long as anything is to be asked."""

    reads: tuple[Wanted, ...] = ()
    effects: tuple[Wanted, ...] = ()
    asks: tuple[str, ...] = ()


@dataclass
class _Draft:
    turn: Turn
    known: Repertoire
    text: str
    answers: list[str] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    reads: list[Wanted] = field(default_factory=list)
    effects: list[Wanted] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def understand(turn: Turn, known: Repertoire) -> Wishes:
    """Read the turn's message; as the answer to a question of ours where it is one."""
    if _is_help(turn.asked.text):
        return Wishes()
    alone = _draft(turn, known, turn.asked.text, ())
    if alone.reads or alone.effects or alone.questions:
        return _wishes(alone)
    for request, given in answers_to(turn, f"?\n\n{answers.SUFFIX}"):
        if _plain(given[-1]) in _DROPS_IT:
            return Wishes(asks=("All right, I leave it as it is.",))
        draft = _draft(turn, known, request, given)
        if not draft.answers and (draft.reads or draft.effects or draft.questions):
            return _wishes(draft)
    return _wishes(alone)


def _is_help(text: str) -> bool:
    words = {token.value for token in tokens(readable(text)) if token.kind is Kind.WORD}
    has_entity = any(t.kind not in {Kind.WORD, Kind.MARK, Kind.PERSON} for t in tokens(readable(text)))
    return not has_entity and words <= SMALL_TALK | _HELP


def _wishes(draft: _Draft) -> Wishes:
    effects = tuple(_distinct(draft.effects))
    asks = (*draft.questions, *draft.doubts)
    if len(effects) > MAX_EFFECTS:
        asks = (
            *asks,
            f"That is {len(effects)} changes at once; please ask for at most {MAX_EFFECTS} of them.",
        )
    if effects and asks:
        asks = (*asks, answers.undone(wanted.tool for wanted in effects))
    return Wishes(tuple(_distinct(draft.reads)), () if asks else effects, tuple(dict.fromkeys(asks)))


def _distinct(wanted: Iterable[Wanted]) -> list[Wanted]:
    kept: list[Wanted] = []
    kept.extend(one for one in wanted if one not in kept)
    return kept


def _plain(text: str) -> str:
    return " ".join(token.value for token in tokens(readable(text)) if token.kind is Kind.WORD)


def _draft(turn: Turn, known: Repertoire, text: str, given: Sequence[str]) -> _Draft:
    draft = _Draft(turn, known, text, list(given))
    command = read_command(text, known)
    for reading in [command] if command else read_message(text, known):
        if isinstance(reading, Reading) and reading.is_sure:
            _take(draft, reading)
        else:
            _doubt(draft, reading)
    return draft


def _take(draft: _Draft, reading: Reading) -> None:
    """Complete a sure reading into calls, or into a question."""
    bindings, asked = _resolved(draft, reading)
    reading = replace(reading, bindings=bindings)
    draft.readings.append(reading)
    missing = [slot for slot in reading.missing() if slot.name not in asked]
    for slot in missing:
        if (value := _known_value(draft, slot, reading)) is not None:
            reading = replace(reading, bindings={**reading.bindings, slot.name: (value,)})
        else:
            asked[slot.name] = answers.question(slot, reading.template, draft.known)
    if asked:
        draft.questions.append(next(iter(asked.values())))
        return
    (draft.effects if reading.is_effect else draft.reads).extend(_calls(reading))


def _known_value(draft: _Draft, slot: Slot, reading: Reading) -> Any:
    """A slot that the clause left open: from the same message, or from the person's answer to our question."""
    if slot.is_entity:
        values = _in_message(draft, slot, reading)
        if len(values) == 1:
            return values[0]
    return _from_answer(draft, slot, reading.template) if draft.answers else None


def _from_answer(draft: _Draft, slot: Slot, template: Template) -> Any:
    """What the next answer puts into a slot; None, and the question is asked again, if it is no plain answer."""
    answer = readable(draft.answers.pop(0))
    said = items(tokens(answer))
    words = [item.first.value for item in said if item.first.kind is Kind.WORD]
    if slot.holds in {Holds.TEXT, Holds.REASON}:
        is_question = answer.rstrip().endswith("?") or words[:1] in _ASKS_BACK
        return None if is_question or not said else passage(said, answer)
    expected = LINKS | SMALL_TALK | {"it", "that", "it's"} | set(draft.known.labels(slot, template.tool.name))
    if slot.is_entity and not set(words) <= expected:
        return None  # "not 1042"
    values = [value for item in said for token in item.tokens if (value := slot.read(token)) is not None]
    return values[0] if len(values) == 1 else None


def _resolved(draft: _Draft, reading: Reading) -> tuple[Bindings, dict[str, str]]:
    """Put a value in the place of each "it"; ask where there is not exactly one."""
    bindings, asked = dict(reading.bindings), {}
    for name, values in reading.bindings.items():
        slot = reading.template.slot(name)
        if slot is None or IT not in values:
            continue
        candidates = _meant_by_it(draft, slot, reading)
        if len(candidates) == 1:
            bindings[name] = (candidates[0],)
        elif draft.answers and (value := _from_answer(draft, slot, reading.template)) is not None:
            bindings[name] = (value,)
        else:
            del bindings[name]
            asked[name] = answers.question(slot, reading.template, draft.known, candidates[:5])
    return bindings, asked


def _meant_by_it(draft: _Draft, slot: Slot, reading: Reading) -> list[Any]:
    """What "it" may be. For a change only the person's own words count, and any other mention makes it doubtful."""
    here = _in_message(draft, slot, reading)
    if here:
        return here
    own, others = said_before(draft.turn, slot, reading.template, draft.known)
    if not reading.is_effect:
        return own[-1:] or (others if len(others) == 1 else [])
    everything = list(dict.fromkeys([*own, *others]))
    # Without the person's own word for it, the one value could come from what a tool returned: ask, and name none.
    return everything if own else []


def _in_message(draft: _Draft, slot: Slot, reading: Reading) -> list[Any]:
    found = [value for r in draft.readings for value in bound(r, slot, reading.template, draft.known)]
    found += labelled(draft.text, slot, reading.template, draft.known)
    return list(dict.fromkeys(found))


def _calls(reading: Reading) -> Iterable[Wanted]:
    """A call for each combination of the listed values: two orders are two calls."""
    names = list(reading.bindings)
    for values in itertools.product(*(reading.bindings[name] for name in names)):
        arguments = {**reading.template.constants, **dict(zip(names, values, strict=True))}
        yield Wanted(reading.template.tool.name, arguments)


def _doubt(draft: _Draft, reading: Reading | Part) -> None:
    if isinstance(reading, Part) or reading.closeness < HINT:
        part = reading if isinstance(reading, Part) else reading.part
        draft.doubts.append(answers.not_understood(" ".join(token.text for token in part.tokens)))
        return
    given = {n: v[0] for n, v in reading.bindings.items() if len(v) == 1 and v[0] is not IT}
    template = draft.known.best_known(reading.template)
    offer = answers.plain_request if reading.is_effect else answers.suggestion
    draft.doubts.append(offer(template, given))
