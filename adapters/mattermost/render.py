"""A model's text as Mattermost should show it: harmless, and in parts that the server takes. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

ZERO_WIDTH = "\u200b"  # after "@": looks the same, and is a letter of no name
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$")
_CODE = re.compile(r"(?P<ticks>`+)(?:.|\n)*?(?<!`)(?P=ticks)(?!`)")
# An "@" within an address (fleet@example.org) follows a letter or digit and reaches a domain.
_MENTION = re.compile(
    r"(?<![\w.+-])@(?=[\w.\-])|(?<=[:._\-])@(?=[\w.\-])|(?<=\w)@(?=[\w\-]+(?![\w.\-]*\.\w))"
)


def defuse(text: str) -> str:
    """Keep @all, @here, @channel and users from being notified. Code and mail addresses stay as they are.

    Do it before `split`: it makes the text longer.
    """
    return "".join(line if is_code else _defused(line) for line, is_code in _blocks(text))


def _defused(text: str) -> str:
    kept: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        kept += [_MENTION.sub("@" + ZERO_WIDTH, text[end : code.start()]), code.group()]
        end = code.end()
    kept.append(_MENTION.sub("@" + ZERO_WIDTH, text[end:]))
    return "".join(kept)


def _blocks(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is fenced code; joined they are the text."""
    pieces: list[tuple[str, bool]] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        was_open, fence = fence, _fence_after(fence, line)
        is_code = bool(was_open or fence)
        if pieces and pieces[-1][1] == is_code:
            pieces[-1] = (pieces[-1][0] + line, is_code)
        else:
            pieces.append((line, is_code))
    return pieces


def _fence_after(fence: str, line: str) -> str:
    """The fence that is open after a line, as its opening line; "" = none."""
    found = _FENCE.match(line.rstrip("\r\n"))
    if found is None:
        return fence
    mark, info = found["mark"], found["info"].strip()
    if not fence:
        return "" if mark[0] == "`" and "`" in info else f"{mark}{info}"
    opened = _FENCE.match(fence)
    closes = opened is not None and mark.startswith(opened["mark"]) and not info
    return "" if closes else fence


@dataclass(slots=True)
class _Part:
    """One part being filled. fence: the opening line of the fence that is open at its end."""

    text: str = ""
    fence: str = ""


def split(text: str, max_runes: int) -> list[str]:
    """Cut into parts of at most `max_runes` runes, at paragraphs, lines or words if it can be.

    A code fence cut in two is closed at the end of a part and opened again, with its language, in the next.
    Raises ValueError below 64 runes, where fences would leave no room.
    """
    if max_runes < 64:
        raise ValueError("parts of fewer than 64 runes are not useful")
    parts: list[str] = []
    rest, fence = text.strip("\r\n"), ""
    while rest:
        opening = f"{fence}\n" if fence else ""
        if len(opening) + len(rest) <= max_runes:
            parts.append(opening + rest)
            break
        room = max_runes - len(opening)
        head, rest, fence = _cut(rest, room, fence)
        parts.append(opening + head)
    return [part for part in parts if part.strip()]


def _cut(text: str, room: int, fence: str) -> tuple[str, str, str]:
    """A head that fits with its closing fence, the rest, and the fence to open again."""
    at = _break(text, room)
    open_at_end = _open_fence(text[:at], fence)
    if open_at_end:
        closing = "\n" + _closing(open_at_end)
        at = _break(text, room - len(closing))
        open_at_end = _open_fence(text[:at], fence)
        closing = "\n" + _closing(open_at_end) if open_at_end else ""
        return text[:at].rstrip("\n") + closing, text[at:].lstrip("\n"), _short(open_at_end)
    return text[:at].rstrip(), text[at:].lstrip("\r\n "), ""


def _open_fence(text: str, fence: str) -> str:
    for line in text.splitlines():
        fence = _fence_after(fence, line)
    return fence


def _closing(fence: str) -> str:
    found = _FENCE.match(fence)
    return found["mark"] if found else "```"


def _short(fence: str) -> str:
    """The opening line to repeat: a language is short, anything longer is no language."""
    return fence if len(fence) <= 24 else _closing(fence)


def _break(text: str, room: int) -> int:
    """The best place to cut within `room` runes: not before its half, unless there is no other."""
    window = text[: room + 1]
    for mark in ("\n\n", "\n", " "):
        at = window.rfind(mark, room // 2, room + 1)
        if at > 0:
            return at + len(mark) if at + len(mark) <= room else at
    at = room
    while at > room - 32 and at > 1 and _joins(text[at]):
        at -= 1
    return at


def _joins(character: str) -> bool:
    """Whether a character belongs to the one before it: accents, variation selectors, joiners, skin tones."""
    return (
        unicodedata.combining(character) != 0
        or character in "\u200d\ufe0e\ufe0f"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
