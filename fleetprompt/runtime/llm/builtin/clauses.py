"""Take a message apart into what may be separate requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .words import Kind, Token, readable, tokens

_ENDS: Final = frozenset({".", "!", "?", ";", "\n"})
_JOINS: Final = frozenset({"and", "then", "also", "plus"})
_BECAUSE: Final = (("because", "of"), ("because",), ("due", "to"), ("reason", ":"), ("reason", "is"))
_POLITE_STARTS: Final = (
    ("i", "would", "like", "you", "to"),
    ("i'd", "like", "you", "to"),
    ("i", "want", "you", "to"),
    ("i", "need", "you", "to"),
    ("can", "you"),
    ("could", "you"),
    ("would", "you"),
    ("will", "you"),
    ("go", "ahead", "and"),
    ("please",),
    ("pls",),
    ("kindly",),
    ("just",),
    ("now",),
    ("ok",),
    ("okay",),
    ("hi",),
    ("hello",),
    ("hey",),
    ("fleet",),
    ("and",),
    ("then",),
    ("also",),
)
_POLITE_ENDS: Final = (
    ("for", "me"),
    ("right", "now"),
    ("please",),
    ("pls",),
    ("now",),
    ("too",),
    ("thanks",),
    ("asap",),
)
_ASKS_TO_ACT: Final = frozenset({"you"})
SMALL_TALK: Final = frozenset(
    {
        "hi",
        "hello",
        "hey",
        "hiya",
        "moin",
        "yo",
        "good",
        "morning",
        "afternoon",
        "evening",
        "day",
        "there",
        "thanks",
        "thank",
        "you",
        "thx",
        "cheers",
        "please",
        "pls",
        "ok",
        "okay",
        "great",
        "fleet",
        "team",
        "all",
        "everyone",
        "so",
        "much",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece between two joins of a sentence."""

    tokens: tuple[Token, ...]
    source: str  # the readable message that the tokens were cut from
    reason: str | None = None  # what followed "because"; the last part of a sentence has it
    is_question: bool = False  # its sentence ends in "?"

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(token.value for token in self.tokens if token.kind is Kind.WORD)

    @property
    def is_small_talk(self) -> bool:
        return all(token.kind in {Kind.WORD, Kind.PERSON, Kind.MARK} for token in self.tokens) and (
            set(self.words) <= SMALL_TALK
        )


def sentences(text: str) -> list[list[Part]]:
    """The sentences of a message, each as its parts; greetings and thanks are left out."""
    found = ([part for part in sentence if not part.is_small_talk] for sentence in all_sentences(text))
    return [parts for parts in found if parts]


def all_sentences(text: str) -> list[list[Part]]:
    """The sentences of a message, each as its parts."""
    plain = readable(text)
    return [_parts(sentence, plain) for sentence in _sentences(_addressed_to_us(tokens(plain)))]


def join(parts: Sequence[Part]) -> Part:
    """Neighbouring parts as one again, with the words between them."""
    first, last = parts[0].tokens[0].start, parts[-1].tokens[-1].end
    between = tuple(t for t in tokens(parts[0].source) if first <= t.start and t.end <= last)
    return replace(parts[-1], tokens=between)


def without_politeness(part: Part) -> tuple[Part, bool]:
    """The part without its "could you please ... now", and whether that made it a plain request to us."""
    left, is_request = list(part.tokens), False
    while (phrase := _phrase_at(left, _POLITE_STARTS, 0)) is not None:
        is_request = is_request or bool(_ASKS_TO_ACT & set(phrase))
        left = _trimmed(left[len(phrase) :])
    while (phrase := _phrase_at(left, _POLITE_ENDS, -1)) is not None:
        left = _trimmed(left[: -len(phrase)])
    return replace(part, tokens=tuple(left)), is_request


def _addressed_to_us(found: Sequence[Token]) -> Sequence[Token]:
    """Without a leading "@fleet". Another leading name is left: then it is somebody else who is asked."""
    is_ours = bool(found) and found[0].kind is Kind.PERSON and found[0].value.casefold().startswith("fleet")
    return found[1:] if is_ours else found


def _sentences(found: Sequence[Token]) -> Iterable[list[Token]]:
    current: list[Token] = []
    for token in found:
        current.append(token)
        if token.kind is Kind.MARK and token.value in _ENDS:
            yield current
            current = []
    yield current


def _parts(sentence: list[Token], text: str) -> list[Part]:
    is_question = bool(sentence) and sentence[-1].value == "?"
    body, reason = _cut_reason([token for token in sentence if token.value not in _ENDS], text)
    groups: list[list[Token]] = [[]]
    for token in body:
        if token.kind is Kind.MARK or (token.kind is Kind.WORD and token.value in _JOINS):
            groups.append([])
        else:
            groups[-1].append(token)
    kept = [tuple(group) for group in groups if group]
    last = len(kept) - 1
    return [Part(g, text, reason if i == last else None, is_question) for i, g in enumerate(kept)]


def _cut_reason(sentence: list[Token], text: str) -> tuple[list[Token], str | None]:
    """Split "... because WHY", or "because WHY, ..."."""
    for position in range(len(sentence)):
        phrase = _phrase_at(sentence, _BECAUSE, position)
        if phrase is None:
            continue
        start = position + len(phrase)
        end = len(sentence)
        if position == 0:
            end = next((i for i, token in enumerate(sentence) if token.value == ","), len(sentence))
        why = sentence[start:end]
        reason = text[why[0].start : why[-1].end] if why else None
        return sentence[:position] + sentence[end:], reason
    return sentence, None


def _phrase_at(
    found: Sequence[Token], phrases: Sequence[tuple[str, ...]], position: int
) -> tuple[str, ...] | None:
    """The phrase that stands at a position (-1: at the end)."""
    for phrase in phrases:
        start = len(found) - len(phrase) if position == -1 else position
        here = found[max(start, 0) : start + len(phrase)]
        if tuple(token.value for token in here) == phrase and all(
            token.kind in {Kind.WORD, Kind.MARK} for token in here
        ):
            return phrase
    return None


def _trimmed(found: list[Token]) -> list[Token]:
    while found and found[0].kind is Kind.MARK:
        found = found[1:]
    while found and found[-1].kind is Kind.MARK:
        found = found[:-1]
    return found
