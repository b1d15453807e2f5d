"""Which tool a clause asks for, with what, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .align import IT, POINTERS, Bindings, Item, align, choice_of, entity_values, items, passage
from .clauses import Part, all_sentences, join, sentences, without_politeness
from .slots import Holds, Slot
from .templates import ID_SIGN, LINKS, NUMBER_WORDS, TEXT_SIGN, Repertoire, Template
from .words import Kind, readable, same_word, tokens

# Chosen on the tables of tests/unit/test_llm_planner*.py, with a margin on both sides.
MAX_TOKENS: Final = 150  # more than that is no simple request, and reading it would hold up everybody else
NEAR: Final = 0.45  # cosine from which a template is taken to be meant
HINT: Final = 0.3  # cosine from which it is worth a "did you mean"
READ_LEAD: Final = 0.05  # how much nearer than the next tool
EFFECT_LEAD: Final = 0.10
_POINTED: Final = frozenset({Holds.ID, Holds.INTEGER})
READ_COVER: Final = 0.6  # share of the clause's words that the tool must know
EFFECT_ECHO: Final = 0.7  # weighted share of the template's words that the clause must say
# Anywhere in a request for a change, also inside its reason or its text, these make it unsure.
HEDGES: Final = re.compile(
    r"\b(unless|only if|provided that|not yet|never ?mind|forget it|forget that|just kidding|kidding|hypothetical\w*|"
    r"but (do not|don['’]?t|not|wait|only|first|never)|(do not|don['’]?t|never) (do|execute|actually|really)|what if|"
    r"just testing|for example|e\.g\.?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clause is taken to mean."""

    part: Part
    template: Template
    bindings: Bindings
    is_sure: bool
    closeness: float
    quality: float  # 0 to 1: how much of the clause it explains

    @property
    def is_effect(self) -> bool:
        return self.template.tool.side_effect

    def missing(self) -> tuple[Slot, ...]:
        """The required slots that nothing fills yet."""
        known = self.bindings.keys() | self.template.constants.keys()
        return tuple(slot for slot in self.template.slots if slot.required and slot.name not in known)


def read_message(text: str, known: Repertoire) -> list[Reading | Part]:
    """Every clause of a message as its reading; a Part where there is none at all."""
    plain = readable(text)
    words = tokens(plain)
    if len(words) > MAX_TOKENS:
        return [Part(words[:20], plain)]
    found = (_best_split(parts, known) for parts in sentences(text))
    return [reading for sentence in found for reading in sentence]


def _best_split(parts: list[Part], known: Repertoire) -> list[Reading | Part]:
    """Join or separate neighbouring parts so that most of the sentence is surely understood.

    "health and safety" is one thing, "where is it and put it on hold" are two.
    """
    best: list[tuple[float, list[Reading | Part]]] = [(0.0, [])]
    for end in range(1, len(parts) + 1):
        options = []
        for start in range(max(0, end - 6), end):
            part = join(parts[start:end]) if end - start > 1 else parts[start]
            reading = read(part, known)
            score, before = best[start]
            options.append((score + _worth(reading, part), [*before, reading or part]))
        best.append(max(options, key=lambda option: (option[0], -len(option[1]))))
    return best[-1][1]


def _worth(reading: Reading | None, part: Part) -> float:
    if reading is None or not reading.is_sure:
        return 0.0 if reading is None else 0.01 * reading.closeness
    return reading.quality * len(part.tokens)


def read(part: Part, known: Repertoire) -> Reading | None:
    """The best reading of a clause, sure or not; None if nothing is near."""
    part, is_request = without_politeness(part)
    said = items(part.tokens)
    if not said or not known.templates:
        return None
    near = known.index.closeness(_normal(said))
    order = sorted(range(len(near)), key=lambda i: -near[i])
    readings = [_aligned(known.templates[i], part, said, near[i]) for i in order]
    exact = [reading for reading in readings if reading is not None]
    if exact:
        best = max(exact, key=lambda r: (len(r.template.words), r.closeness))
        is_alone = all(r.template.tool is best.template.tool for r in exact if _says_as_much(r, best))
    else:
        best = _fuzzy(known.templates[order[0]], part, said, near[order[0]], known)
        is_alone = _leads(best, near, known)
    if not exact and (best.closeness < HINT or best.quality == 0.0):
        return None
    is_sure = is_alone and best.is_sure and not (best.is_effect and _is_hedged(best, is_request, known))
    return Reading(part, best.template, _with_reason(best), is_sure, best.closeness, best.quality)


def _says_as_much(reading: Reading, best: Reading) -> bool:
    return len(reading.template.words) >= len(best.template.words)


def _leads(best: Reading, near: list[float], known: Repertoire) -> bool:
    others = [near[i] for i, t in enumerate(known.templates) if t.tool is not best.template.tool]
    lead = EFFECT_LEAD if best.is_effect else READ_LEAD
    return best.closeness - max(others, default=0.0) >= lead


def _normal(said: Sequence[Item]) -> str:
    return " ".join(_sign(item) for item in said if not item.is_filler)


def _sign(item: Item) -> str:
    if item.first.kind is Kind.QUOTED:
        return TEXT_SIGN
    return ID_SIGN if item.is_entity or item.is_pointer else item.first.value


def _aligned(template: Template, part: Part, said: Sequence[Item], closeness: float) -> Reading | None:
    if not template.words:
        return None
    bindings = align(template.pieces, said, part.source)
    return None if bindings is None else Reading(part, template, bindings, True, closeness, 1.0)


def _fuzzy(
    template: Template, part: Part, said: Sequence[Item], closeness: float, known: Repertoire
) -> Reading:
    """The nearest template, its slots filled by what the clause's entities look like."""
    bindings, is_all_used = _bind(template, part, said, known)
    cover = _cover(template, said, bindings, known)
    if template.tool.side_effect:
        is_sure = cover == 1.0 and is_all_used and _starts_alike(template, said, known)
        is_sure = is_sure and _echo(template, said, known) >= EFFECT_ECHO
    else:
        is_sure = cover >= READ_COVER
    return Reading(part, template, bindings, is_sure and closeness >= NEAR, closeness, cover)


def _bind(template: Template, part: Part, said: Sequence[Item], known: Repertoire) -> tuple[Bindings, bool]:
    """Fill the slots; also say whether each entity of the clause found its place."""
    bindings: Bindings = {}
    placed = [
        _place(template, said, position, bindings, known)
        for position, item in enumerate(said)
        if item.is_entity
    ]
    for slot in template.slots:
        if (
            slot.name not in bindings
            and (value := _from_words(template, slot, said, part.source, known)) is not None
        ):
            bindings[slot.name] = (value,)
    open_ids = [slot for slot in template.slots if slot.holds in _POINTED and slot.name not in bindings]
    if len(open_ids) == 1 and any(item.is_pointer for item in said):
        bindings[open_ids[0].name] = (IT,)
    return bindings, all(placed)


def _place(
    template: Template, said: Sequence[Item], position: int, bindings: Bindings, known: Repertoire
) -> bool:
    """Put an entity into the one slot that it fits; by the word right before it where it looks like several."""
    read = ((slot, _values(slot, said[position])) for slot in template.slots)
    fits = [(slot, values) for slot, values in read if values is not None]
    if len(fits) > 1:  # also where another entity took one of them: "refund 1042 20" says not which is which
        label = label_before(said, position)
        fits = [(slot, values) for slot, values in fits if label in known.labels(slot, template.tool.name)]
    if len(fits) != 1 or fits[0][0].name in bindings:
        return False
    bindings[fits[0][0].name] = fits[0][1]
    return True


def _from_words(template: Template, slot: Slot, said: Sequence[Item], source: str, known: Repertoire) -> Any:
    """What plain words put into a slot: a choice by its name, the text at the end of a question."""
    if slot.holds is Holds.CHOICE:
        choices = [c for item in said if (c := choice_of(slot, [item])) is not None]
        return choices[0] if len(choices) == 1 else None
    return _after_anchor(template, slot, said, source, known) if slot.holds is Holds.TEXT else None


def _values(slot: Slot, item: Item) -> tuple[Any, ...] | None:
    if slot.is_entity:
        return entity_values(slot, item)
    if slot.holds is Holds.TEXT and item.first.kind is Kind.QUOTED:
        return (item.first.value,)
    return None


def label_before(said: Sequence[Item], position: int) -> str | None:
    """The word right before an entity, which says what it is: "order" in "order number 1042"."""
    for item in reversed(said[:position]):
        if item.first.kind is not Kind.WORD:
            return None
        if item.first.value not in LINKS:
            return item.first.value
    return None


def _after_anchor(
    template: Template, slot: Slot, said: Sequence[Item], source: str, known: Repertoire
) -> str | None:
    """What follows the word before the last slot: "for" in "search the handbook for {query}". Reading only."""
    if template.tool.side_effect:
        return None
    ways = (t.pieces for t in known.alike(template) if not t.is_from_name and t.pieces[-1:] == (slot,))
    anchors = {pieces[-2] for pieces in ways if len(pieces) > 1 and isinstance(pieces[-2], str)}
    after = next((i + 1 for i, item in enumerate(said) if item.first.value in anchors), len(said))
    return passage(said[after:], source) if said[after:] else None


def _cover(template: Template, said: Sequence[Item], bindings: Bindings, known: Repertoire) -> float:
    """The share of the clause's words that ask for this tool."""
    taken = {word for values in bindings.values() for value in values for word in _words_of(value)}
    vocabulary = known.vocabulary(template) | taken
    explained = [
        _is_known(item.first.value, vocabulary, known) or _is_link(said, position)
        for position, item in enumerate(said)
        if item.first.kind is Kind.WORD and not item.is_filler
    ]
    return sum(explained) / len(explained) if explained else 0.0


def _is_link(said: Sequence[Item], position: int) -> bool:
    """Whether it is the "number" of "order number 1042"."""
    following = said[position + 1 : position + 2]
    return (
        said[position].first.value in NUMBER_WORDS and bool(following) and following[0].first.kind is Kind.ID
    )


def _starts_alike(template: Template, said: Sequence[Item], known: Repertoire) -> bool:
    """Whether it begins as a command does: "put ..."; "order 1042 on hold" may as well be news."""
    firsts = {t.pieces[0] for t in known.alike(template) if t.pieces and not t.is_from_name}
    first = next((item.first.value for item in said if not item.is_filler), "")
    return first in firsts


def _words_of(value: Any) -> list[str]:
    if value is IT:
        return sorted(POINTERS)
    return re.findall(r"\w+", str(value).casefold().replace("_", " "))


def _is_known(word: str, vocabulary: frozenset[str], known: Repertoire) -> bool:
    if word in vocabulary:
        return True
    return not known.knows(word) and any(same_word(word, meant) for meant in vocabulary)


def _echo(template: Template, said: Sequence[Item], known: Repertoire) -> float:
    """How much of a template's words the clause says, rare words counting more; the best of the tool's ways to ask."""
    words = frozenset(item.first.value for item in said if item.first.kind is Kind.WORD)
    return max((_share(t, words, known) for t in known.alike(template) if t.words), default=0.0)


def _share(template: Template, words: frozenset[str], known: Repertoire) -> float:
    total = sum(known.weight(word) for word in template.words)
    return sum(known.weight(word) for word in template.words if _is_known(word, words, known)) / total


def _with_reason(reading: Reading) -> Bindings:
    slot = next((slot for slot in reading.template.slots if slot.holds is Holds.REASON), None)
    if slot is None or reading.part.reason is None or slot.name in reading.bindings:
        return reading.bindings
    return {**reading.bindings, slot.name: (reading.part.reason,)}


def _is_hedged(reading: Reading, is_request: bool, known: Repertoire) -> bool:
    """Whether something speaks against it: a question about it, a condition, or a second request inside its text."""
    if reading.part.is_question and not is_request:
        return True
    if HEDGES.search(reading.part.source):
        return True
    texts = [value for values in _with_reason(reading).values() for value in values if isinstance(value, str)]
    return any(_hides_request(text, known) for text in texts if " " in text)


def _hides_request(text: str, known: Repertoire) -> bool:
    """ "because he asked and close ticket 7": is that a reason, or another request? Nobody can tell."""
    parts = [part for sentence in all_sentences(text) for part in sentence]
    return len(parts) > 1 and any((r := read(part, known)) is not None and r.is_sure for part in parts)
