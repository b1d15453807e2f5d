"""HTML to the text that a person would see. What is hidden is how prompts are injected: it must not reach the model."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from inscriptis import get_text  # type: ignore[import-untyped]
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from adapters.proton_mail.parse_limits import within
from adapters.proton_mail.parse_style import has_size, hides, hiding, shrinks, squeezed

SECONDS: Final = 2.5
NOT_TEXT: Final = (
    "script,style,head,title,template,noscript,iframe,object,embed,svg,math,canvas,audio,video,input,textarea,select,"
    "[hidden]"
)
QUOTES: Final = (
    ".gmail_quote,.gmail_extra,.protonmail_quote,.yahoo_quoted,.moz-cite-prefix,blockquote[type=cite],"
    "#divRplyFwdMsg,#appendonsend,.OutlookMessageHeader,#mail-editor-reference-message-container,#isForwardContent"
)
_COLOR = re.compile(r"(?:^|;)color:([^;!]+)")
_BACKGROUND = re.compile(r"(?:^|;)background(?:-color)?:([^;!]+)")
_WHITE: Final = {"#fff", "#ffffff", "white", "rgb(255,255,255)", "rgba(255,255,255,1)", "#fefefe"}


@dataclass(frozen=True, slots=True)
class Visible:
    """text: all of it. reply: without what mail clients mark as quoted; "" when nothing is marked."""

    text: str
    reply: str


def visible_text(html: str) -> Visible:
    """The text of a mail's HTML, and without its quoted history."""
    tree = LexborHTMLParser(html)
    _remove_hidden(tree)
    text = _rendered(tree)
    quotes = tree.css(QUOTES)
    if not quotes:
        return Visible(text, "")
    _remove(quotes)
    return Visible(text, _rendered(tree))


def bare_text(html: str) -> str:
    """What a person would see, without its layout: much sooner had."""
    tree = LexborHTMLParser(html)
    _remove_hidden(tree)
    body = tree.body
    return "" if body is None else body.text(separator=" ")


def _remove_hidden(tree: LexborHTMLParser) -> None:
    rules = hiding(node.text() for node in tree.css("style") if not _is_of_paper(node))
    styled = tree.css("[style],font[color],font[size]")
    _remove_tiny([node for node in styled if shrinks(_style(node))])
    _remove_tiny([node for selector, style in rules if shrinks(style) for node in _selected(tree, selector)])
    selectors = [NOT_TEXT, *(selector for selector, style in rules if hides(style))]
    named = [node for selector in selectors for node in _selected(tree, selector)]
    _remove([*named, *(node for node in styled if _is_hidden(node))])


def _is_of_paper(sheet: LexborNode) -> bool:
    return (sheet.attributes.get("media") or "").strip().lower() == "print"


def _remove_tiny(nodes: list[LexborNode]) -> None:
    """Take their text out, but for what has a size of its own: layouts set nothing for a row, and then each cell."""
    waiting = [node for node in nodes if node.tag not in ("html", "body")]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node.mem_id in seen:
            continue
        seen.add(node.mem_id)
        for child in list(node.iter(include_text=True)):
            if child.tag == "-text":
                child.decompose()
            elif not has_size(_style(child)) and not (child.tag == "font" and child.attributes.get("size")):
                waiting.append(child)


def _remove(nodes: list[LexborNode]) -> None:
    """Take nodes out with all that is in them. One inside another goes with it: its memory is freed by then."""
    named = {node.mem_id: node for node in nodes}
    for node in [node for node in named.values() if not _is_inside(node, named)]:
        node.decompose()


def _is_inside(node: LexborNode, named: Container[int]) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.mem_id in named:
            return True
        parent = parent.parent
    return False


def _selected(tree: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """Selectors of a stranger may be anything."""
    if re.fullmatch(r"(?:\*|html|body)", selector.strip(), re.IGNORECASE):
        return []
    try:
        return tree.css(selector)
    except (SelectolaxError, ValueError, RuntimeError, TypeError):
        return []


def _is_hidden(node: LexborNode) -> bool:
    if node.tag in ("html", "body"):
        return False
    style = _style(node)
    return hides(style) or _is_unreadable(node, style)


def _style(node: LexborNode) -> str:
    """A node's own."""
    attributes = node.attributes
    style = squeezed(attributes.get("style") or "")
    color = (attributes.get("color") or "").strip().lower()
    return f"{style};color:{color}" if color and not _COLOR.search(style) else style


def _is_unreadable(node: LexborNode, style: str) -> bool:
    """White on nothing, or on its own colour."""
    color, background = _COLOR.search(style), _BACKGROUND.search(style)
    if color is None:
        return False
    if background is not None:
        return color[1] == background[1]
    return color[1] in _WHITE and not _has_background(node)


def _has_background(node: LexborNode | None) -> bool:
    while node is not None:
        attributes = node.attributes
        behind = _BACKGROUND.search(squeezed(attributes.get("style") or ""))
        color = behind[1] if behind else (attributes.get("bgcolor") or "").strip().lower()
        if color and color not in (*_WHITE, "none", "transparent", "inherit"):
            return True
        if attributes.get("background"):
            return True
        node = node.parent
    return False


def _rendered(tree: LexborHTMLParser) -> str:
    """With the layout of tables and lists, as long as that does not take too long."""

    def laid_out() -> str:
        return str(get_text(tree.html or ""))

    def bare() -> str:
        body = tree.body
        return "" if body is None else body.text(separator="\n", strip=True)

    return squeezed_lines(within(SECONDS, laid_out, bare))


def squeezed_lines(text: str) -> str:
    """Without trailing blanks and without more than one empty line."""
    lines = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()
