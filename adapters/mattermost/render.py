"""A model's text as Mattermost should show it: harmless, and in parts that the server takes. Pure.

`defuse` errs on the safe side: what it calls code must be code for the server too, since there nothing is defused. So a
code span ends with its line, and a fenced block ends where a line is indented less than the block's beginning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

ZERO_WIDTH = "\u200b"  # looks like nothing, and to the server it is a space
MIN_PART_RUNES = 64
_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,24}|~{3,24})(?P<info>[^\n]*)")
_SPAN = r"(?<![`\\])(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
_ADDRESS = r"(?<![^\s*_~(])https?://[A-Za-z0-9][A-Za-z0-9.\-]*(?::\d+)?/[^\s<>`]*"
_UNTOUCHED = re.compile(f"{_SPAN}|{_ADDRESS}")
# After a letter or digit an "@" belongs to a mail address and notifies nobody; after `. - : _` it does notify.
_MENTION = re.compile(r"(?<![^\W_])@(?=\S)")
_ENTITY = re.compile(r"&(?:#0*64|#[xX]0*40|commat);")  # the server decodes it before it looks for mentions


def defuse(text: str) -> str:
    """Keep @all, @here, @channel and users from being notified; code, addresses and mail stay as they are.

    Do it before `split`, because it makes the text longer.
    """
    return "".join(line if is_code else _defuse_line(line) for line, is_code in _lines(_unix_lines(text)))


def split(text: str, max_runes: int) -> list[str]:
    """Cut into parts of at most `max_runes` runes, at paragraphs, lines or words where that is possible.

    A code block cut in two is closed at the end of a part and opened again, with its language, in the next. Text without
    anything to see gives no part. Raises ValueError below 64 runes, where fences would leave no room.
    """
    if max_runes < MIN_PART_RUNES:
        raise ValueError(f"a part has {MIN_PART_RUNES} runes or more")
    parts: list[str] = []
    rest, fence = _unix_lines(text).strip("\n"), NO_FENCE
    while rest.strip():
        opening = fence.opening
        if len(opening) + len(rest) <= max_runes:
            parts.append(opening + rest)
            break
        head, rest, fence = _cut(rest, max_runes - len(opening), fence)
        parts.append(opening + head)
    return [part for part in parts if part.strip()]


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open code block; without a mark: none."""

    indent: str = ""
    mark: str = ""
    info: str = ""

    @property
    def opening(self) -> str:
        """The line that opens it again. A language is short; anything longer is none."""
        return f"{self.indent}{self.mark}{self.info if len(self.info) <= 16 else ''}\n" if self.mark else ""

    @property
    def closing(self) -> str:
        """The line that closes it, after the block's last line."""
        return f"\n{self.indent}{self.mark}" if self.mark else ""

    def after(self, line: str) -> _Fence:
        """What is open after this line."""
        found = _FENCE.fullmatch(line.rstrip("\n"))
        if self.mark and line.strip() and not line.startswith(self.indent):
            return NO_FENCE.after(line)
        if found is None:
            return self
        mark, info = found["mark"], found["info"].strip()
        if self.mark:
            return NO_FENCE if mark.startswith(self.mark) and not info else self
        return self if mark[0] == "`" and "`" in info else _Fence(found["indent"], mark, info)


NO_FENCE = _Fence()


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line with its end, and whether it belongs to a fenced block, fences included."""
    fence = NO_FENCE
    for line in re.split(r"(?<=\n)", text):  # not splitlines: it knows line ends that Markdown does not
        before, fence = fence, fence.after(line)
        is_closing = bool(before.mark) and not fence.mark and _FENCE.fullmatch(line.rstrip("\n")) is not None
        yield line, bool(fence.mark) or is_closing


def _defuse_line(line: str) -> str:
    kept: list[str] = []
    end = 0
    for untouched in _UNTOUCHED.finditer(line):
        kept += [_defuse_text(line[end : untouched.start()]), untouched.group()]
        end = untouched.end()
    return "".join([*kept, _defuse_text(line[end:])])


def _defuse_text(text: str) -> str:
    return _MENTION.sub("@" + ZERO_WIDTH, _ENTITY.sub("@", text))


def _cut(text: str, room: int, fence: _Fence) -> tuple[str, str, _Fence]:
    """A head that fits together with its closing fence, the rest, and the block to open again."""
    reserved = 0
    while True:
        at = _break(text, room - reserved)
        open_at_end = _open_after(text[:at], fence)
        at = _before_opening(text, at, open_at_end) if open_at_end != fence else at
        open_at_end = _open_after(text[:at], fence)
        head = text[:at].rstrip("\n") if open_at_end.mark else text[:at].rstrip()
        if len(head) + len(open_at_end.closing) <= room:
            rest = text[at:].lstrip("\n") if open_at_end.mark else text[at:].lstrip("\n ")
            return head + open_at_end.closing, rest, open_at_end
        reserved = max(reserved + 1, len(open_at_end.closing))


def _open_after(text: str, fence: _Fence) -> _Fence:
    for line in text.split("\n"):
        fence = fence.after(line)
    return fence


def _before_opening(text: str, at: int, fence: _Fence) -> int:
    """Rather cut before a fence than right behind it, where an empty block would be left."""
    head = text[:at].rstrip("\n")
    last_line = head.rfind("\n") + 1
    is_opening = bool(fence.mark) and NO_FENCE.after(head[last_line:]) == fence
    return last_line if is_opening and last_line > 0 else at


def _break(text: str, room: int) -> int:
    """The best place to cut within `room` runes, in the second half if there is one."""
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, room // 2, room + len(mark) - 1)
        if at > 0:
            return min(at + len(mark), room)
    at = room
    while at > max(1, room - 32) and _joins(text, at):
        at -= 1
    return at


def _joins(text: str, at: int) -> bool:
    """Whether a cut here would part what is one sign: accents, joiners, variation selectors, skin tones."""
    following, joiner = text[at], "\u200d"
    is_modifier = unicodedata.combining(following) != 0 or "\U0001f3fb" <= following <= "\U0001f3ff"
    return is_modifier or following in "\u200d\ufe0e\ufe0f" or text[at - 1] == joiner
