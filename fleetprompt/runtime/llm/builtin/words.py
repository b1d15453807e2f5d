"""Cut a message into words, entities and marks, each with its place in the text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    ID = auto()  # 1042, #1042, ORD-1042, 59.90: anything with a digit
    QUOTED = auto()  # "...", `...`
    CHANNEL = auto()  # #general, ~general
    PERSON = auto()  # @ann
    ADDRESS = auto()  # a URL or a mail address
    MARK = auto()  # . , ? ! ; : and a new line


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a message."""

    kind: Kind
    text: str  # as written
    value: str  # a word in lower case; an entity without its quotes and signs
    start: int
    end: int


_PIECES: Final = re.compile(
    r"""
      (?P<QUOTED>```.*?```|"[^"\n]*"|“[^”\n]*”|«[^»\n]*»|(?<!\w)'[^'\n]+'(?!\w)|`[^`\n]+`)
    | (?P<ADDRESS>https?://[^\s<>]+|[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,200}\w)
    | (?P<ID>(?<![\w-])-?\#?(?=[\w/-]{0,40}\d)[^\W_]+(?:[-_/.][^\W_]+)*)
    | (?P<CHANNEL>(?<!\w)[~\#][^\W\d_][\w.-]*\w)
    | (?P<PERSON>(?<!\w)@[^\W\d_](?:[\w.-]*\w)?)
    | (?P<WORD>\b[Nn][or]\.(?=\s*\#?\d)|[^\W\d_]+(?:['’][^\W\d_]+)*)
    | (?P<MARK>[.!?;:,\n])
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTES: Final = "\"'`“”«»"
_ASKING: Final = frozenset({"where", "what", "who", "when", "how", "which"})
_INVISIBLE: Final = frozenset({"Cf", "Cc"})  # zero-width and direction marks would hide a word from us
_CITED: Final = re.compile(r"^[^\S\n]*>.*$", re.MULTILINE)  # another person's words


def readable(text: str) -> str:
    """The text as its writer meant it: composed letters, no invisible ones, no cited lines."""
    composed = re.sub(r"[^\S\n]", " ", unicodedata.normalize("NFKC", text))
    seen = "".join(char for char in composed if char == "\n" or unicodedata.category(char) not in _INVISIBLE)
    return re.sub(r"\n\s*", "\n", _CITED.sub("", seen))


def tokens(text: str) -> tuple[Token, ...]:
    """Every token of a readable text. Other signs (emoji, brackets) are passed over."""
    return tuple(token for match in _PIECES.finditer(text) for token in _tokens(match))


def _tokens(match: re.Match[str]) -> tuple[Token, ...]:
    """Usually one; "where's" is two words."""
    token = _token(match)
    stem = token.value.removesuffix("'s")
    if token.kind is not Kind.WORD or stem not in _ASKING:
        return (token,)
    cut = token.start + len(stem)
    rest = () if stem == token.value else (Token(Kind.WORD, token.text[len(stem) :], "is", cut, token.end),)
    return (Token(Kind.WORD, token.text[: len(stem)], stem, token.start, cut), *rest)


def _token(match: re.Match[str]) -> Token:
    kind, text = Kind[match.lastgroup or "MARK"], match.group()
    return Token(kind, text, _value(kind, text), match.start(), match.end())


def _value(kind: Kind, text: str) -> str:
    match kind:
        case Kind.WORD:
            word = text.casefold().replace("’", "'")
            # "where are orders 1 and 2" asks as "where is order no. 1" does
            return {"are": "is", "no.": "number", "nr.": "number"}.get(word, word)
        case Kind.QUOTED:
            return text.strip(_QUOTES).strip()
        case Kind.ID:
            return text.replace("#", "")
        case Kind.CHANNEL | Kind.PERSON:
            return text.lstrip("#~@")
        case _:
            return text


def same_word(said: str, meant: str) -> bool:
    """Equal, or one slip of the keyboard apart in a word of five letters or more that starts alike.

    Shorter words stay exact: "hold" and "sold", "ship" and "skip" are different orders to us.
    """
    if said == meant:
        return True
    if min(len(said), len(meant)) < 5 or said[0] != meant[0] or abs(len(said) - len(meant)) > 1:
        return False
    return _one_slip(said, meant)


def _one_slip(a: str, b: str) -> bool:
    """One letter replaced, added or left out, or two neighbours swapped."""
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[first:], b[first:]
    return (
        rest_a[1:] == rest_b[1:]
        or rest_a[1:] == rest_b
        or rest_a == rest_b[1:]
        or (rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:])
    )
