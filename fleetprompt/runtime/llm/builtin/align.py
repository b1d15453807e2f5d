"""Lay a template over a clause, word by word: the command grammar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .slots import Holds, Slot
from .templates import FILLERS, Piece
from .words import Kind, Token, same_word

POINTERS: Final = frozenset({"it", "this", "that"})
MAX_CHOICE_WORDS: Final = 3
MAX_ITEMS: Final = 80  # a longer clause is no simple request, and alignment tries every split

Bindings = dict[str, tuple[Any, ...]]  # several values where a list was written: "1042, 1043 and 1044"


class Pointer:
    """ "it": a value that was said before."""

    def __repr__(self) -> str:
        return "IT"


IT: Final = Pointer()


@dataclass(frozen=True, slots=True)
class Item:
    """A token, or several ids written as a list."""

    tokens: tuple[Token, ...]

    @property
    def first(self) -> Token:
        return self.tokens[0]

    @property
    def is_entity(self) -> bool:
        return self.first.kind not in {Kind.WORD, Kind.MARK}

    @property
    def is_filler(self) -> bool:
        return self.first.kind is Kind.MARK or (self.first.kind is Kind.WORD and self.first.value in FILLERS)

    @property
    def is_pointer(self) -> bool:
        return self.first.kind is Kind.WORD and self.first.value in POINTERS


def items(found: Sequence[Token]) -> tuple[Item, ...]:
    """The tokens, with "1042, 1043 and 1044" folded into one item."""
    folded: list[Item] = []
    position = 0
    while position < len(found):
        end = _list_end(found, position)
        folded.append(Item(tuple(t for t in found[position:end] if t.kind is Kind.ID) or (found[position],)))
        position = end
    return tuple(folded)


def _list_end(found: Sequence[Token], position: int) -> int:
    end = position + 1
    while found[position].kind is Kind.ID:
        after = end
        while after < len(found) and found[after].value in {",", "and"}:
            after += 1
        if after == end or after >= len(found) or found[after].kind is not Kind.ID:
            break
        end = after + 1
    return end


def align(pieces: Sequence[Piece], said: Sequence[Item], source: str) -> Bindings | None:
    """What the slots of `pieces` hold if the clause is exactly this template, else None."""
    if len(said) > MAX_ITEMS:
        return None
    if not pieces:
        return {} if all(item.is_filler for item in said) else None
    if isinstance(pieces[0], str) and pieces[0] in FILLERS:
        return align(pieces[1:], said, source)
    for values, used in _readings(pieces[0], said, source):
        rest = align(pieces[1:], said[used:], source)
        if rest is not None:
            return {**rest, **values}
    return align(pieces, said[1:], source) if said and said[0].is_filler else None


def _readings(piece: Piece, said: Sequence[Item], source: str) -> Iterable[tuple[Bindings, int]]:
    """Each way in which the clause may begin with this piece: what that binds, and how many items it takes."""
    if not said:
        return
    if isinstance(piece, str):
        if same_word(said[0].first.value.casefold(), piece):
            yield {}, 1
        return
    for values, used in _fillings(piece, said, source):
        yield {piece.name: values}, used


def _fillings(slot: Slot, said: Sequence[Item], source: str) -> Iterable[tuple[tuple[Any, ...], int]]:
    if slot.is_entity:
        if (values := entity_values(slot, said[0])) is not None:
            yield values, 1
    elif slot.holds is Holds.CHOICE:
        for used in range(min(MAX_CHOICE_WORDS, len(said)), 0, -1):
            if (choice := choice_of(slot, said[:used])) is not None:
                yield (choice,), used
    elif slot.holds in {Holds.TEXT, Holds.REASON}:
        for used in range(_longest_text(said), 0, -1):
            yield (passage(said[:used], source),), used


def _longest_text(said: Sequence[Item]) -> int:
    """A quotation is the text or it is not: in `post not "hi" in #general` nobody knows what the "not" is."""
    quoted = next((i for i, item in enumerate(said) if item.first.kind is Kind.QUOTED), len(said))
    return quoted or 1


def entity_values(slot: Slot, item: Item) -> tuple[Any, ...] | None:
    """What an item puts into an entity slot, or None if it does not fit."""
    if item.is_pointer and slot.holds in {Holds.ID, Holds.INTEGER}:
        return (IT,)
    values = tuple(slot.read(token) for token in item.tokens)
    return None if any(value is None for value in values) else values


def choice_of(slot: Slot, said: Sequence[Item]) -> Any:
    """The choice that some words name, or None."""
    words = " ".join(item.first.value for item in said)
    first, last = said[0].first, said[-1].first
    return slot.read(Token(Kind.WORD, words, words, first.start, last.end))


def passage(said: Sequence[Item], source: str) -> str:
    """The text of some items as it was written; without its quotes if it is one quotation."""
    if len(said) == 1 and said[0].first.kind is Kind.QUOTED:
        return said[0].first.value
    return source[said[0].first.start : said[-1].tokens[-1].end].strip()
