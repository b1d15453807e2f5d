"""Letters in the colour of what is behind them: nobody reads them, and a model would."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from adapters.proton_mail.parse_nodes import nodes_of, own_look, selected, weight
from adapters.proton_mail.parse_style import Look, Rule

Colour = tuple[int, int, int]
WHITE: Final[Colour] = (255, 255, 255)
BLACK: Final[Colour] = (0, 0, 0)
NEAR: Final = 16  # of 255, in each of red, green and blue: nobody sees the difference
_NAMES: Final[dict[str, Colour]] = {
    "white": WHITE,
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255),
    "whitesmoke": (245, 245, 245),
    "floralwhite": (255, 250, 240),
    "black": BLACK,
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "red": (255, 0, 0),
    "maroon": (128, 0, 0),
    "yellow": (255, 255, 0),
    "olive": (128, 128, 0),
    "lime": (0, 255, 0),
    "green": (0, 128, 0),
    "aqua": (0, 255, 255),
    "cyan": (0, 255, 255),
    "teal": (0, 128, 128),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
    "fuchsia": (255, 0, 255),
    "magenta": (255, 0, 255),
    "purple": (128, 0, 128),
}
_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})(?![0-9a-f])")
_RGB = re.compile(r"rgba?\((\d{1,3}%?)[, ]+(\d{1,3}%?)[, ]+(\d{1,3}%?)")
_GREY = re.compile(r"hsla?\([^,)]{1,20}[, ]+[^,)%]{1,10}%[, ]+(0|100)%")
_SAME: Final = ("", "inherit", "none", "transparent", "initial", "unset", "currentcolor")


@dataclass(frozen=True, slots=True)
class _Paint:
    """Letters and what is behind them; None: a picture, or a colour that we cannot tell."""

    colour: Colour | None = BLACK
    behind: Colour | None = WHITE

    @property
    def is_unreadable(self) -> bool:
        return self.colour is not None and self.behind is not None and _near(self.colour, self.behind)


Painted = Mapping[int, tuple[str, str, bool]]
"""A node's colour and background by the rules, as they are written, and whether they count more than its own."""


def remove_unreadable(tree: LexborHTMLParser, rules: Iterable[Rule], own: Iterable[Look]) -> None:
    """Take such letters out; what has a readable colour inside stays. own: what all nodes say of themselves."""
    root, painting = tree.root, [one for one in rules if one.look.colour or one.look.background]
    if root is None or not _is_worth_a_look(tree, [*own, *(one.look for one in painting)]):
        return
    painted = _painted(tree, painting)
    unread: list[LexborNode] = []
    waiting = [(root, _painted_over(root, _Paint(), painted))]
    while waiting:
        node, paint = waiting.pop()
        for child in node.iter(include_text=True):
            if child.tag != "-text":
                waiting.append((child, _painted_over(child, paint, painted)))
            elif paint.is_unreadable:
                unread.append(child)
    for node in unread:
        node.decompose()


def _is_worth_a_look(tree: LexborHTMLParser, looks: Collection[Look]) -> bool:
    """Most pages have dark letters on white: then there is no need to go through all of it."""
    fonts = {
        value or ""
        for node in nodes_of(tree, "font[color],body[text]")
        for value in map(node.attributes.get, ("color", "text"))
    }
    colours = [_read(one) for one in {look.colour for look in looks} | fonts if one]
    grounds = {node.attributes.get("bgcolor") or "" for node in nodes_of(tree, "[bgcolor]")}
    behind = [WHITE, *(_read(one) for one in {look.background for look in looks} | grounds if one)]
    return any(
        one is not None and other is not None and _near(one, other)
        for one in (BLACK, *colours)
        for other in behind
    )


def _painted(tree: LexborHTMLParser, rules: Iterable[Rule]) -> Painted:
    """By the cascade: of several rules the stronger one, of equal ones the later."""
    ranked = sorted(rules, key=lambda one: (_is_strong(one), weight(one.selector)))
    painted: dict[int, tuple[str, str, bool]] = {}
    for one in ranked:
        for node in selected(tree, one):
            colour, background, _ = painted.get(node.mem_id, ("", "", False))
            painted[node.mem_id] = (
                one.look.colour or colour,
                one.look.background or background,
                _is_strong(one),
            )
    return painted


def _is_strong(rule: Rule) -> bool:
    return "!important" in rule.look.style


def _painted_over(node: LexborNode, around: _Paint, painted: Painted) -> _Paint:
    """A node's own colours over those of what it stands in."""
    attributes, look = node.attributes, own_look(node)
    colour, background, is_strong = painted.get(node.mem_id, ("", "", False))
    if not is_strong:
        colour, background = look.colour or colour, look.background or background
    colour = colour or look.colour or _plain(attributes.get("color") or attributes.get("text"))
    background = background or look.background or _plain(attributes.get("bgcolor"))
    behind = around.behind if background in _SAME else _read(background)
    if attributes.get("background"):
        behind = None
    return _Paint(around.colour if colour in _SAME else _read(colour), behind)


def _plain(value: str | None) -> str:
    return (value or "").strip().lower()


@lru_cache(maxsize=256)
def _read(text: str) -> Colour | None:
    """The first colour that is named, also by half of the ways to name one; None beside a picture."""
    text = text.strip().lower()[:200]
    if "url(" in text or "gradient(" in text:
        return None
    if found := _HEX.search(text):
        return _from_hex(found[1])
    if found := _RGB.search(text):
        red, green, blue = (_part(one) for one in found.groups())
        return red, green, blue
    if found := _GREY.search(text):
        return WHITE if found[1] == "100" else BLACK
    return next((_NAMES[word] for word in re.findall(r"[a-z]+", text) if word in _NAMES), None)


def _from_hex(digits: str) -> Colour:
    pairs = [one * 2 for one in digits[:3]] if len(digits) < 6 else [digits[at : at + 2] for at in (0, 2, 4)]
    red, green, blue = (int(one, 16) for one in pairs)
    return red, green, blue


def _part(text: str) -> int:
    return min(255, int(text[:-1]) * 255 // 100 if text.endswith("%") else int(text))


def _near(one: Colour, other: Colour) -> bool:
    return all(abs(a - b) <= NEAR for a, b in zip(one, other, strict=True))
