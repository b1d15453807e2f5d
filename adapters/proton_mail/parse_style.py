"""What a style says of being seen. Written by a stranger: read in one pass, and never passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from adapters.proton_mail.parse_limits import TooMuch

MAX_SHEETS_CHARS: Final = 200_000
MAX_HIDING_RULES: Final = 1_000
_TOKEN = re.compile(
    r"""(/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|<!--|-->"""
)
_BRACES = re.compile(r"([{}])")
_BLANK: Final = str.maketrans("{};", "   ")
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))")
_PRINT = re.compile(r"@media\s+(?:only\s+)?print\b[^,]*", re.IGNORECASE)
_END = r"(?:;|$|!)"
_HIDDEN = re.compile(
    r"(?:^|;)(?:display:none|(?:content-)?visibility:(?:hidden|collapse)|mso-hide:all|zoom:0"
    rf"|opacity:(?:0*\.0\d*|0+|\d(?:\.\d+)?%){_END}"
    r"|(?:text-indent|left|right|top|bottom|margin-left|margin-top):-\d{3,}"
    r"|clip:rect\((?:0|1px)|clip-path:inset\((?:50|100)%|clip-path:circle\(0"
    r"|transform:[^;]{0,200}scale[xy]?\(0(?:\.0\d*)?[,)]|scale:0(?:\.0\d*)?(?:;|$|!)"
    r"|color:(?:transparent|rgba\([^);]{0,60},0?(?:\.0+)?\)))"
)
_NO_ROOM = re.compile(rf"(?:^|;)(?:max-)?(?:height|width):[01](?:px)?{_END}")
_TINY = re.compile(
    rf"(?:^|;)(?:font-size:(?:0*(?:\.0+)?(?:px|pt|r?em|%)?|(?:0?\.\d+|1)(?:px|pt)|0?\.[01]\d*r?em|\d(?:\.\d+)?%){_END}"
    r"|font:[a-z-]*(?:0(?:\.0+)?(?:px|pt|r?em|%)?|1(?:px|pt))[/a-z\"'])"
)
_SIZED = re.compile(
    r"(?:^|;)font(?:-size)?:[^;]{0,60}?(?:\d(?:px|pt|pc|cm|mm|in|rem|vw|vh)|small|medium|large)"
)


def hiding(sheets: Iterable[str]) -> list[tuple[str, str]]:
    """(selector, style) of the rules that hide or shrink, but for those of paper. Raises TooMuch."""
    text = "\n".join(sheets)
    if len(text) > MAX_SHEETS_CHARS:
        raise TooMuch("too_much_style", "its style sheets are longer than is read")
    found = [(selector, style) for selector, style in _rules(text) if hides(style) or shrinks(style)]
    if len(found) > MAX_HIDING_RULES:
        raise TooMuch("too_much_style", "more rules hide something than are read")
    return found


def _rules(text: str) -> Iterator[tuple[str, str]]:
    within: list[str] = []
    pieces = iter(_BRACES.split(_TOKEN.sub(_harmless, text)))
    for before, brace in zip(pieces, pieces, strict=False):  # behind the last brace there is no rule
        if brace == "{":
            within.append(before.rpartition(";")[2].strip())
        elif within:
            selector = within.pop()
            if not selector.startswith("@") and not any(map(_PRINT.fullmatch, within)):
                yield selector, squeezed(before)


def _harmless(token: re.Match[str]) -> str:
    """Without comments; in a string no brace counts."""
    return "" if token[1] or token[0] in ("<!--", "-->") else token[0].translate(_BLANK)


def squeezed(style: str) -> str:
    """Declarations as they are compared: in lower case, without blanks, comments and escapes."""
    bare = re.sub(r"/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?", "", style)
    return re.sub(r"\s+", "", _ESCAPE.sub(_meant, bare)).lower()


def _meant(escape: re.Match[str]) -> str:
    code = int(escape[1], 16) if escape[1] else 0
    return (chr(code) if 0 < code < 0x110000 else "\ufffd") if escape[1] else escape[2]


def hides(style: str) -> bool:
    """Whether nobody sees what is in there, whatever stands in it. style: squeezed, as for the others."""
    if _HIDDEN.search(style):
        return True
    return re.search(r"overflow(?:-[xy])?:(?:hidden|clip)", style) is not None and bool(
        _NO_ROOM.search(style)
    )


def shrinks(style: str) -> bool:
    """Whether its letters are too small to be seen; those inside may have a size of their own."""
    return _TINY.search(style) is not None


def has_size(style: str) -> bool:
    """Whether its letters have a size that does not follow from what is around them."""
    return _SIZED.search(style) is not None and not shrinks(style)
