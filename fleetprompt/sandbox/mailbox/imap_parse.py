"""Reading IMAP commands: words, quoted strings, parentheses; sets of numbers."""

from __future__ import annotations

import re

_WORD = re.compile(rb'"(?:[^"\\]|\\.)*"|[()]|[^\s()"]*\[[^\]]*\](?:<[^>]*>)?|[^\s()"]+')


class BadCommand(Exception):
    """Not a command that this server understands."""


class Refusal(Exception):
    """Understood, and not done: NO."""


def words(line: bytes) -> list[str]:
    """The words of a command; quoted ones without their quotes, BODY[...] as one word."""
    return [_unquoted(match.group()) for match in _WORD.finditer(line)]


def _unquoted(word: bytes) -> str:
    if word.startswith(b'"'):
        word = re.sub(rb"\\(.)", rb"\1", word[1:-1])
    return word.decode("utf-8", "replace")


def quoted(name: str) -> str:
    """A string for an answer."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def in_set(numbers: str, highest: int) -> list[range]:
    """`1:5,9,12:*` as ranges; `*` is the highest number in use."""
    ranges = []
    for item in numbers.split(","):
        ends = [highest if end == "*" else int(end) for end in item.split(":")]
        ranges.append(range(min(ends), max(ends) + 1))
    return ranges


def is_set(word: str) -> bool:
    """Whether a word is a set of numbers."""
    return re.fullmatch(r"[\d:*,]+", word) is not None
