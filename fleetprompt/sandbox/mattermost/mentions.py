"""Whom a post mentions, by the server's grammar.

Source: `getExplicitMentions` of the 5.37 server. Text outside of code spans and code blocks is cut into words at every
character that is no letter, digit or one of `: . - _ @`; a word counts as written, then with trailing `. - : _`
trimmed, and one that does not begin with "@" is cut further at `. - :`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

WIDE: Final = frozenset({"all", "channel", "here"})
_WORD: Final = re.compile(r"(?:[:.\-@]|\w)+")
_MARKS: Final = ":.-_"
# Emphasis stays text: the server's own parser knows blocks, code spans, links and images only.
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).disable("emphasis")


def mentioned_names(text: str) -> set[str]:
    """Names after "@", in lower case, without it. Names nobody bears may be among them."""
    if "@" not in text:
        return set()
    return {name for run in _text_runs(_MARKDOWN.parse(text)) for name in _names_in(run)}


def text_of(message: str, props: dict[str, Any]) -> str:
    """What counts: the message and each attachment's pretext and text."""
    attachments = props.get("attachments")
    if not isinstance(attachments, list):
        return message
    parts = [message]
    for attachment in attachments:
        if isinstance(attachment, dict):
            parts += [str(attachment.get("pretext") or ""), str(attachment.get("text") or "")]
    return "\n\n".join(parts)


def _text_runs(tokens: Sequence[Token]) -> Iterator[str]:
    """Neighbouring text nodes as one run; anything else between them ends it."""
    run = ""
    for token in tokens:
        if token.type in ("text", "text_special"):
            run += token.content
            continue
        yield run
        run = ""
        if token.type == "inline":
            yield from _text_runs(token.children or ())
    yield run


def _names_in(run: str) -> Iterator[str]:
    for word in _WORD.findall(run.lower()):
        if not (word[0] == ":" and word[-1] == ":"):  # an emoji
            yield from _names_of(word.lstrip(_MARKS))


def _names_of(word: str) -> Iterator[str]:
    yield from _trimmed(word)
    if not word.startswith("@"):
        for part in re.split(r"[.\-:]", word):
            yield from _named(part)


def _trimmed(word: str) -> Iterator[str]:
    yield from _named(word)
    while word and word[-1] in _MARKS:
        word = word[:-1]
        yield from _named(word)


def _named(word: str) -> Iterator[str]:
    if len(word) > 1 and word[0] == "@":
        yield word[1:]
