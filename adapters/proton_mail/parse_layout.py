"""The text of a page with its lines, lists and tables: marks are put where lines end, and the parser gathers the text at once.

The libraries that lay HTML out go through it letter by letter, which took longer than all else that is done to a mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from adapters.proton_mail.parse_nodes import nodes_of

# Not white space to Python, and nothing that a mail's text may hold.
_LINE, _PARAGRAPH, _BREAK, _CELL, _QUOTE, _QUOTE_END, _ITEM, _BLANK = "\x01\x02\x03\x04\x05\x06\x07\x0e"
_MARKS: Final = "\x01\x02\x03\x04\x05\x06\x07\x0e"
_RUN = re.compile("[\x01-\x07][ \x01-\x07]*")
MAX_KNOWN_RUN: Final = 40
_QUOTED = re.compile(f"{_QUOTE}[^{_QUOTE_END}]*{_QUOTE_END}")
_PARAGRAPHS: Final = "p,h1,h2,h3,h4,h5,h6,ul,ol,dl,blockquote,pre,figure,hr"
_LINES: Final = (
    "div,tr,section,article,header,footer,main,nav,aside,address,center,fieldset,form,dt,dd,table,caption,legend,"
    "details,summary,figcaption,option"
)


def laid_out(tree: LexborHTMLParser, quotes: Iterable[LexborNode]) -> tuple[str, str]:
    """(the text, the same without the quotes), with blanks at the ends of lines.

    tree: of a text `without_marks`, of no further use. quotes: none of them inside another.
    """
    body = tree.body
    if body is None:
        return "", ""
    _mark(tree)
    for node in quotes:
        node.insert_before(_QUOTE)
        node.insert_after(_QUOTE_END)
    text = " ".join(body.text().split()).replace(f" {_CELL}", _CELL)
    text = _RUN.sub(_broken, text).replace(_BLANK, " ")
    whole = text.replace(_QUOTE, "").replace(_QUOTE_END, "")
    return whole, _QUOTED.sub("\n", text)


def without_marks(text: str) -> str:
    """What the marks of a layout can be put into."""
    for mark in _MARKS:
        if mark in text:
            text = text.replace(mark, "")
    return text


def _mark(tree: LexborHTMLParser) -> None:
    for node in nodes_of(tree, "pre"):
        _keep_blanks(node)
    for node in nodes_of(tree, "br"):
        node.insert_after(_BREAK)
    for node in nodes_of(tree, "td,th"):
        node.insert_before(_CELL)
    for number, node in _items(tree):
        node.insert_before(f"{_LINE}{number}{_ITEM}")
        node.insert_after(_LINE)
    for names, mark in ((_PARAGRAPHS, _PARAGRAPH), (_LINES, _LINE)):
        for node in nodes_of(tree, names):
            node.insert_before(mark)
            node.insert_after(mark)


def _items(tree: LexborHTMLParser) -> Iterable[tuple[str, LexborNode]]:
    for node in nodes_of(tree, "ul>li"):
        yield "*", node
    for ordered in nodes_of(tree, "ol"):
        items = [node for node in ordered.iter() if node.tag == "li"]
        yield from ((f"{number}.", node) for number, node in enumerate(items, 1))


def _keep_blanks(node: LexborNode) -> None:
    """Texts of a `pre` are shown as they stand."""
    for one in [one for one in node.traverse(include_text=True) if one.tag == "-text"]:
        text = one.text(deep=False) or ""
        one.replace_with(re.sub(r"\r?\n", _BREAK, text).replace(" ", _BLANK))


@lru_cache(maxsize=512)
def _breaks(run: str) -> str:
    """How many lines end here. A block begins a line; a break ends one; a paragraph stands apart."""
    lines, kept = 0, ""
    for mark in run:
        if mark == _BREAK:
            lines += 1
        elif mark == _PARAGRAPH:
            lines = max(lines, 2)
        elif mark == _LINE:
            lines = max(lines, 1)
        elif mark in (_QUOTE, _QUOTE_END):
            kept += mark
    if run.lstrip(" ").startswith(_ITEM):
        return f"{kept} "  # what stands in it stands beside its number
    return kept + ("\n" * min(lines, 2) or "  " * (_CELL in run))


def _broken(run: re.Match[str]) -> str:
    return (_breaks if len(run[0]) <= MAX_KNOWN_RUN else _breaks.__wrapped__)(run[0])
