"""Who is addressed, by the server's own grammar (server source: app/notification.go; seen on 5.37).

`data.mentions` of a frame is no wake signal: it names the bot for @all, for webhooks and for system posts. So the text
itself is read as the server reads it: text nodes of its small Markdown only, words of letters, digits and `. - : _ @`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

# The server knows blocks and links, but neither headings, emphasis nor HTML: their marks are text to it.
_MARKDOWN = MarkdownIt("zero", {"html": False, "maxNesting": 50}).enable(
    [
        "code",
        "fence",
        "blockquote",
        "list",
        "reference",
        "newline",
        "escape",
        "backticks",
        "link",
        "image",
        "entity",
    ]
)
# Brackets by the thousand cost the parser seconds; nobody's message has them, so there links are left as text.
_WITHOUT_LINKS = MarkdownIt("zero", {"html": False, "maxNesting": 50}).enable(
    ["code", "fence", "blockquote", "list", "newline", "escape", "backticks", "entity"]
)
_MANY_BRACKETS = 300
_ADDRESS = re.compile(r"(?<![^\s*_~(])(?:(?:https?|ftp)://|www\d{0,3}\.)[^\s<]+", re.IGNORECASE)
_WORD = re.compile(r"(?:[^\W]|[:.\-@])+")
_EDGES = ":.-_"


def mentions(username: str, texts: Iterable[str]) -> bool:
    """Whether one of these texts mentions `@username`, case aside."""
    sought = f"@{username}".lower()
    return any(
        _names(sought, word)
        for text in texts
        if sought in text.lower()  # most texts end here: no Markdown is read
        for words in _text_runs(text)
        for word in _WORD.findall(words)
    )


def _names(sought: str, word: str) -> bool:
    """Whether a word is the mention: as it stands, without marks at its edges, or as a part of `cc:@name`."""
    if word.startswith(":") and word.endswith(":"):
        return False  # an emoji
    bare = word.lower().lstrip(_EDGES)
    if sought in _without_suffix(bare):
        return True
    return not bare.startswith("@") and sought in re.split(r"[.\-:]", bare)


def _without_suffix(word: str) -> Iterator[str]:
    """The word, and the word with one more mark trimmed from its end each time: a name may itself end in a mark."""
    yield word
    while word and word[-1] in _EDGES:
        word = word[:-1]
        yield word


def _text_runs(text: str) -> Iterator[str]:
    """Runs of adjacent text nodes; code, links' addresses and bare addresses are not text."""
    markdown = _WITHOUT_LINKS if text.count("[") > _MANY_BRACKETS else _MARKDOWN
    for block in markdown.parse(text):
        if block.type == "inline":
            yield from _inline_runs(block.children or [])


def _inline_runs(nodes: list[Token]) -> Iterator[str]:
    run = ""
    for node in nodes:
        if node.type in ("text", "text_special"):
            run += node.content
            continue
        yield _ADDRESS.sub(" ", run)
        run = ""
        if node.type == "image":
            yield from _inline_runs(node.children or [])
    yield _ADDRESS.sub(" ", run)
