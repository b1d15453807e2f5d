"""What a style says of being seen. Written by a stranger: read in one pass, and never passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from adapters.proton_mail.parse_limits import TooMuch

MAX_SHEETS_CHARS: Final = 200_000
MAX_HIDING_RULES: Final = 1_000
MAX_RULES: Final = 5_000
MAX_KNOWN_CHARS: Final = 300
MAX_KNOWN_SHEETS_CHARS: Final = 4_000
_TOKEN = re.compile(
    r"""(/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|<!--|-->"""
)
_BRACES = re.compile(r"([{}])")
_BLANK: Final = str.maketrans("{};", "   ")
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))")
# One query without `not` and `or` only grows narrower by what else it asks for.
_AT_MEDIA = re.compile(r"@media\b([^,]*)", re.IGNORECASE | re.DOTALL)
_SEVERAL = re.compile(r"\b(?:not|or)\b", re.IGNORECASE)
_PRINT = re.compile(r"^\s*(?:only\s+)?print\b", re.IGNORECASE)
_NARROW = re.compile(
    r"\(\s*(?:max-(?:device-)?width\s*:\s*[1-8]?\d{1,2}(?:\.\d+)?px|prefers-color-scheme\s*:\s*dark)\s*\)",
    re.IGNORECASE,
)
_END = r"(?:;|$|!)"
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)"
_FAINT = r"(?:\+?0*\.0\d*|[-+]?0+|-[\d.]+%?|\+?0*\d(?:\.\d+)?%)"  # below a tenth: nobody makes it out
_HIDDEN = re.compile(
    r"(?:^|;)(?:display:(?:none|var\()|(?:content-)?visibility:(?:hidden|collapse)|mso-hide:all|zoom:0"
    rf"|opacity:{_FAINT}{_END}|(?:-webkit-)?filter:[^;]*opacity\({_FAINT}\)"
    r"|(?:text-indent|left|right|top|bottom|margin-left|margin-top):-(?:\d{3,}|[2-9]\d(?:\.\d+)?r?em)"
    r"|clip:rect\((?:0|1px)|clip-path:inset\((?:50|100)%|clip-path:circle\(0"
    r"|transform:[^;]{0,200}scale[xy]?\(0(?:\.0\d*)?[,)]|scale:0(?:\.0\d*)?(?:;|$|!)"
    r"|color:(?:transparent|#(?:[0-9a-f]{3}[01]|[0-9a-f]{6}0[0-9a-f])(?![0-9a-f])"
    rf"|(?:rgb|hsl)a?\((?:[^,;()]*,){{3}}{_FAINT}\)|[a-z]{{2,6}}\([^/;()]*/{_FAINT}\)))"
)
# Out of the page. A side alone may also be far to the right; a sheet that was made for paper has a far top and bottom.
_PLACED = re.compile(
    r"(?:^|;)(?:-webkit-)?(?:(left|right|margin-left|(?:inset|margin)-inline-start|text-indent|transform|translate)|inset|margin)"
    r":([^;!]*)"
)
_LARGE = re.compile(
    r"[1-9]\d{3}|[1-9]\d{1,2}(?:\.\d+)?(?!px)[a-z%]"
)  # most styles have none: found much sooner
_MOVED = re.compile(r"(?:translate|matrix)(?:x|y|3d)?\(([^)]*)")
_LENGTH = re.compile(rf"({_NUMBER})(px|pt|pc|in|cm|mm|r?em|ex|ch|v(?:w|h|min|max)|%|deg|g?rad|turn)?")
_PIXELS: Final = {
    "pt": 1.33,
    "pc": 16,
    "in": 96,
    "cm": 38,
    "mm": 3.8,
    "em": 16,
    "rem": 16,
    "ex": 8,
    "ch": 8,
    "vw": 20,  # of a wide window: a letter is moved by half of it, and by a whole one it is gone
    "vh": 20,
    "vmin": 20,
    "vmax": 20,
    "%": 5,
    "deg": 0,
    "rad": 0,
    "grad": 0,
    "turn": 0,
}
FAR_BEFORE_PX: Final = -1_500
FAR_BEHIND_PX: Final = 2_000
_POWER = re.compile(r"\de[-+\d]")
_EXPONENT = re.compile(r"(?<![\w#.])(?:\d+(?:\.\d+)?|\.\d+)e[-+]?\d+")
_CALC = re.compile(r"calc\(([-+*.\da-z%]*)\)")
_FACTOR = re.compile(rf"({_NUMBER})([a-z%]*)")
_NOTHING = r"(?:0+(?:\.0+)?|\.0+)[a-z%]*"
_NO_ROOM = re.compile(rf"(?:^|;)(?:max-)?(?:height|width):(?:{_NOTHING}|(?:1|0*\.\d+)(?:px)?){_END}")
_NO_HEIGHT = re.compile(rf"(?:^|;)(?:max-)?height:{_NOTHING}{_END}")
_SOME_HEIGHT = re.compile(r"(?:^|;)min-height:[1-9]\d")
_OVERFLOW = re.compile(r"overflow(?:-[xy])?:(?:(hidden|clip)|auto|scroll)")
_TINY = re.compile(
    rf"(?:^|;)(?:font-size:(?:{_NOTHING}|(?:0?\.\d+|1)(?:px|pt)|0?\.[01]\d*(?:r?em|v[wh])|\d(?:\.\d+)?%){_END}"
    r"|font:[a-z-]*(?:0(?:\.0+)?(?:px|pt|r?em|%)?|1(?:px|pt))[/a-z\"'])"
)
_SIZED = re.compile(
    r"(?:^|;)font(?:-size)?:[^;]{0,60}?(?:\d(?:px|pt|pc|cm|mm|in|rem|vw|vh)|small|medium|large)"
)

_COLOUR = re.compile(r"(?:^|;)(?:-webkit-text-fill-)?color:([^;!]+)")
_BACKGROUND = re.compile(r"(?:^|;)background(?:-color)?:([^;!]+)")


@dataclass(frozen=True, slots=True)
class Look:
    """What declarations say. style: squeezed. hides: nobody sees what is in there, whatever stands in it. shrinks: its
    letters are too small to be seen; those inside may have a size of their own. has_size: they do not follow from what is
    around. colour, background: as written, the last of each; "" = not said.
    """

    style: str
    hides: bool
    shrinks: bool
    has_size: bool
    colour: str
    background: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a sheet, in the order in which they stand."""

    selector: str
    look: Look


def look_of(style: str) -> Look:
    """Of declarations as they are written; a mail repeats its own a hundred times."""
    return _known_look(style) if len(style) <= MAX_KNOWN_CHARS else _look(style)


def _look(style: str) -> Look:
    bare = squeezed(style)
    small = _TINY.search(bare) is not None
    return Look(
        bare,
        _hides(bare),
        small,
        not small and _SIZED.search(bare) is not None,
        _last(_COLOUR, bare),
        _last(_BACKGROUND, bare),
    )


_known_look = lru_cache(maxsize=1024)(_look)


def _last(declared: re.Pattern[str], style: str) -> str:
    found = declared.findall(style)
    return found[-1] if found else ""


def _hides(style: str) -> bool:
    return _HIDDEN.search(style) is not None or _is_far(style) or _has_no_room(style)


def _has_no_room(style: str) -> bool:
    """What may be scrolled has a width of nothing where tables are made to fit; without height nobody finds it."""
    ways = [found[1] for found in _OVERFLOW.finditer(style)]
    return (any(ways) and _NO_ROOM.search(style) is not None) or (
        bool(ways) and _NO_HEIGHT.search(style) is not None and _SOME_HEIGHT.search(style) is None
    )


def _is_far(style: str) -> bool:
    return _LARGE.search(style) is not None and any(
        _is_moved_far(*found.groups()) for found in _PLACED.finditer(style)
    )


def _is_moved_far(side: str | None, value: str) -> bool:
    """side: None = of several sides, of which only what lies before the page can be told."""
    lengths = " ".join(_MOVED.findall(value)) if side == "transform" else value
    moved = [float(number) * _PIXELS.get(unit, 1) for number, unit in _LENGTH.findall(lengths)]
    return any(by <= FAR_BEFORE_PX or (side is not None and by >= FAR_BEHIND_PX) for by in moved)


def rules_of(sheets: Sequence[tuple[str, str]]) -> tuple[Rule, ...]:
    """The rules that hide, shrink or paint, but for those that no reader of mail at a desk has. Raises TooMuch.

    sheets: (text, media), each read for itself: what one leaves open ends with it.
    """
    known = tuple(sheets)
    is_short = sum(len(text) + len(media) for text, media in known) <= MAX_KNOWN_SHEETS_CHARS
    return (_rules_of if is_short else _rules_of.__wrapped__)(known)


@lru_cache(maxsize=32)  # those of one sender have the same ones
def _rules_of(sheets: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
    kept = [(text, media) for text, media in sheets if not _is_elsewhere(f"@media {media}")]
    if sum(len(text) for text, _ in kept) > MAX_SHEETS_CHARS:
        raise TooMuch("too_much_style", "its style sheets are longer than is read")
    every = (Rule(selector, look_of(style)) for text, _ in kept for selector, style in _rules(text))
    found = [one for one in every if _matters(one.look)]
    if sum(one.look.hides or one.look.shrinks for one in found) > MAX_HIDING_RULES or len(found) > MAX_RULES:
        raise TooMuch("too_much_style", "more rules hide something than are read")
    return tuple(found)


def _matters(look: Look) -> bool:
    return look.hides or look.shrinks or bool(look.colour or look.background)


def _is_elsewhere(media: str) -> bool:
    """On paper, on a telephone or in the dark alone: what is hidden there is seen here, and what is shown there is not."""
    query = _AT_MEDIA.fullmatch(media)
    if query is None or _SEVERAL.search(query[1]):
        return False
    return bool(_PRINT.search(query[1]) or _NARROW.search(query[1]))


def _rules(text: str) -> Iterator[tuple[str, str]]:
    within: list[str] = []
    pieces = iter(_BRACES.split(_TOKEN.sub(_harmless, text)))
    for before, brace in zip(pieces, pieces, strict=False):  # behind the last brace there is no rule
        if brace == "{":
            within.append(before.rpartition(";")[2].strip())
        elif within:
            selector = within.pop()
            if not selector.startswith("@") and not any(map(_is_elsewhere, within)):
                yield selector, before


def _harmless(token: re.Match[str]) -> str:
    """Without comments; in a string no brace counts."""
    return "" if token[1] or token[0] in ("<!--", "-->") else token[0].translate(_BLANK)


def squeezed(style: str) -> str:
    """Declarations as they are compared: in lower case, without blanks, comments and escapes, numbers in plain."""
    bare = re.sub(r"/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?", "", style)
    bare = re.sub(r"\s+", "", _ESCAPE.sub(_meant, bare)).lower()
    if _POWER.search(bare):
        bare = _EXPONENT.sub(_decimal, bare)
    return _CALC.sub(_product, bare) if "calc(" in bare else bare


def _decimal(number: re.Match[str]) -> str:
    return _written(float(number[0]))


def _written(number: float) -> str:
    return f"{max(-1e9, min(1e9, number)) + 0.0:.6f}".rstrip("0").rstrip(".")


def _product(calc: re.Match[str]) -> str:
    """Of numbers, the one it comes to; what adds up is left as it is."""
    factors = [_FACTOR.fullmatch(one) for one in calc[1].split("*")]
    value, unit = 1.0, ""
    for one in factors:
        if one is None:
            return calc[0]
        value, unit = max(-1e9, min(1e9, value * float(one[1]))), unit or one[2]
    return _written(value) + unit


def _meant(escape: re.Match[str]) -> str:
    code = int(escape[1], 16) if escape[1] else 0
    return (chr(code) if 0 < code < 0x110000 else "\ufffd") if escape[1] else escape[2]
