"""The nodes of a page and the rules that meet them. Selectors and attributes are a stranger's, and may be anything."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborCSSSelector, LexborHTMLParser, LexborNode, SelectolaxError

from adapters.proton_mail.parse_style import Look, Rule, look_of

_STATE = re.compile(r"::?[a-z-]+(?:\([^()]*\))?|&", re.IGNORECASE)
_SIMPLE: Final = (
    re.compile(r"#[\w-]"),
    re.compile(r"\.[\w-]|\[|:(?!:)"),
    re.compile(r"(?:^|[\s>+~])[a-z]", re.IGNORECASE),
)
NOTHING: Final = look_of("")
_OURS: Final = LexborCSSSelector()  # type: ignore[no-untyped-call]


def nodes_of(tree: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """By a selector of our own. A tree's `css` makes a parser of selectors for that tree, which takes as long as the page.

    What a stranger wrote is only ever given to the tree's own one (`selected`).
    """
    root = tree.root
    return [] if root is None else _OURS.find(selector, root)


def own_style(node: LexborNode) -> str:
    """Its own attribute."""
    return node.attributes.get("style") or ""


def own_look(node: LexborNode) -> Look:
    """What its own attribute says."""
    style = own_style(node)
    return look_of(style) if style else NOTHING


def selected(tree: LexborHTMLParser, rule: Rule) -> list[LexborNode]:
    """What a rule is for. A selector that the parser does not know counts without its states: in doubt it is meant."""
    found = _css(tree, rule.selector)
    if found is not None:
        return found
    nodes: dict[int, LexborNode] = {}
    for one in rule.selector.split(","):
        bare = _STATE.sub("", one).strip(" >+~")
        if bare != "*":
            nodes.update((node.mem_id, node) for node in _css(tree, bare) or ())
    return list(nodes.values())


def _css(tree: LexborHTMLParser, selector: str) -> list[LexborNode] | None:
    try:
        return list(tree.css(selector))
    except (SelectolaxError, ValueError, RuntimeError, TypeError):
        return None


def weight(selector: str) -> tuple[int, ...]:
    """How strongly a rule counts against others: ids, then classes, then tags; of a list the strongest."""
    return max(tuple(len(kind.findall(one)) for kind in _SIMPLE) for one in selector.split(","))
