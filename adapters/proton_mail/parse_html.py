"""HTML to the text that a person would see. What is hidden is how prompts are injected: it must not reach the model."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from adapters.proton_mail.parse_colour import remove_unreadable
from adapters.proton_mail.parse_layout import laid_out, without_marks
from adapters.proton_mail.parse_limits import within
from adapters.proton_mail.parse_nodes import nodes_of, own_look, own_style, selected
from adapters.proton_mail.parse_style import look_of, rules_of

SECONDS: Final = 2.5
NOT_TEXT: Final = (
    "script,style,head,title,template,noscript,iframe,object,embed,svg,math,canvas,audio,video,input,textarea,select,"
    "datalist,noframes,noembed,rp,dialog:not([open]),[hidden]"
)
CLOSED: Final = "details:not([open])"
QUOTES: Final = (
    ".gmail_quote,.gmail_extra,.protonmail_quote,.yahoo_quoted,.moz-cite-prefix,blockquote[type=cite],"
    "#divRplyFwdMsg,#appendonsend,.OutlookMessageHeader,#mail-editor-reference-message-container,#isForwardContent"
)


@dataclass(frozen=True, slots=True)
class Visible:
    """text: all of it. reply: without what mail clients mark as quoted; "" when nothing is marked."""

    text: str
    reply: str


class Page:
    """A mail's HTML without what is hidden in it."""

    def __init__(self, html: str) -> None:
        self._tree = LexborHTMLParser(without_marks(html))
        _remove_hidden(self._tree)

    def bare(self) -> str:
        """Its text without layout: much sooner had."""
        body = self._tree.body
        return "" if body is None else body.text(separator=" ")

    def visible(self) -> Visible:
        """Its text, and without its quoted history. The page is of no further use."""
        quotes = _outermost(nodes_of(self._tree, QUOTES))
        text, new = within(SECONDS, lambda: laid_out(self._tree, quotes), lambda: _bare(self._tree))
        return Visible(squeezed_lines(text), squeezed_lines(new) if quotes else "")


def _bare(tree: LexborHTMLParser) -> tuple[str, str]:
    """Without layout: what was put into the tree until it took too long goes too."""
    body = tree.body
    text = "" if body is None else without_marks(body.text(separator="\n", strip=True))
    return text, ""


def _remove_hidden(tree: LexborHTMLParser) -> None:
    rules = rules_of([(node.text(), node.attributes.get("media") or "") for node in nodes_of(tree, "style")])
    styled = [(node, own_style(node)) for node in nodes_of(tree, "[style]")]
    looks = {style: look_of(style) for style in {style for _, style in styled}}  # a mail repeats its own
    own = [(node, look) for node, style in styled if (look := looks[style]).hides or look.shrinks]
    named = [
        (node, one.look)
        for one in rules
        if one.look.hides or one.look.shrinks
        for node in selected(tree, one)
    ]
    told = [(node, look) for node, look in (*own, *named) if node.tag not in ("html", "body")]
    _remove_tiny([node for node, look in told if look.shrinks])
    unshown = [one for node in nodes_of(tree, f"{NOT_TEXT},{CLOSED}") for one in _unshown(node)]
    _remove([*unshown, *(node for node, look in told if look.hides)])
    remove_unreadable(tree, rules, looks.values())


def _unshown(node: LexborNode) -> list[LexborNode]:
    """All of it; of what a reader may open, all but its first summary."""
    if node.tag != "details" or "hidden" in node.attributes:
        return [node]
    inside = list(node.iter(include_text=True))
    summary = next((at for at, one in enumerate(inside) if one.tag == "summary"), None)
    return [node] if summary is None else inside[:summary] + inside[summary + 1 :]


def _remove_tiny(nodes: list[LexborNode]) -> None:
    """Take their text out, but for what has a size of its own: layouts set nothing for a row, and then each cell."""
    waiting = list(nodes)
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node.mem_id in seen:
            continue
        seen.add(node.mem_id)
        for child in list(node.iter(include_text=True)):
            if child.tag == "-text":
                child.decompose()
            elif not own_look(child).has_size and not (child.tag == "font" and child.attributes.get("size")):
                waiting.append(child)


def _remove(nodes: list[LexborNode]) -> None:
    for node in _outermost(nodes):
        node.decompose()


def _outermost(nodes: list[LexborNode]) -> list[LexborNode]:
    """Those inside another go with it: their memory is freed by then."""
    named = {node.mem_id: node for node in nodes}
    return [node for node in named.values() if not _is_inside(node, named)]


def _is_inside(node: LexborNode, named: Container[int]) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.mem_id in named:
            return True
        parent = parent.parent
    return False


def squeezed_lines(text: str) -> str:
    """Without trailing blanks and without more than one empty line."""
    text = "\n".join(map(str.rstrip, text.split("\n")))
    return (re.sub(r"\n{3,}", "\n\n", text) if "\n\n\n" in text else text).strip()
