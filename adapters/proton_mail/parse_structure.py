"""A mail's parts as slices of its bytes: no copies, no recursion, and a cap on parts and depth.

The standard library's parser keeps each line as an object of its own (four times the mail's size) and recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.proton_mail.parse_fields import Headers, headers_of
from adapters.proton_mail.parse_limits import TooMuch
from adapters.proton_mail.settings import MailLimits

MAX_HEADER_LINES: Final = 10_000
MAX_BOUNDARY_CHARS: Final = 200
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_A_HEADER = re.compile(rb"(?:[!-9;-~]+[ \t]*:|From )")
_MARK_END = re.compile(rb"(--)?[ \t]*(?=\r?\n|\Z)")


@dataclass(slots=True)
class Part:
    """One part: its headers, undecoded, and where its body stands. type: its content type, in lower case. children: in order."""

    headers: Headers
    start: int
    end: int
    depth: int
    parent: Part | None = None
    children: list[Part] = field(default_factory=list)
    type: str = ""

    def __post_init__(self) -> None:
        told = self.headers.structured("content-type")
        if told is None:
            self.type = _guarded(self.headers.get_content_type, "text/plain")
        else:
            self.type = told.kind if told.kind.count("/") == 1 else "text/plain"

    @property
    def encoding(self) -> str:
        """Its transfer encoding, in lower case."""
        return str(self.headers.get("Content-Transfer-Encoding", "")).split(";")[0].strip().lower()

    @property
    def disposition(self) -> str:
        """inline, attachment or ""."""
        told = self.headers.structured("content-disposition")
        return told.kind if told else _guarded(lambda: self.headers.get_content_disposition() or "", "")

    def parameter(self, name: str) -> str:
        """A parameter of its content type; name: in lower case."""
        told = self.headers.structured("content-type")
        if told is not None:
            return told.parameters.get(name, "")
        return _guarded(lambda: _joined(self.headers.get_param(name, "")), "")

    def filename(self) -> str:
        """As the mail gives it, not safe."""
        shown, told = self.headers.structured("content-disposition"), self.headers.structured("content-type")
        if shown is None or told is None:
            return _guarded(lambda: self.headers.get_filename("") or "", "")
        return shown.parameters.get("filename", told.parameters.get("name", "")).strip()

    def walk(self) -> Iterator[Part]:
        """This and all below, in order."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))


def split(raw: bytes, limits: MailLimits) -> Part:
    """The tree of a mail's parts. Raises TooMuch."""
    root = _part(raw, 0, len(raw), 0, limits)
    waiting, count = [root], 1
    while waiting:
        part = waiting.pop()
        if not part.type.startswith("multipart/"):
            continue
        for start, end in _inside(raw, part):
            child = _part(raw, start, end, part.depth + 1, limits)
            child.parent = part
            part.children.append(child)
            count += 1
            if count > limits.parts or child.depth > limits.depth:
                raise TooMuch("too_many_parts", "more parts, or deeper ones, than are read")
        waiting.extend(part.children)
    return root


def _part(raw: bytes, start: int, end: int, depth: int, limits: MailLimits) -> Part:
    headers_end, body = _headers(raw, start, end, limits)
    block = raw[start:headers_end].replace(b"\x00", b"")
    if block.count(b"\n") > MAX_HEADER_LINES:
        raise TooMuch("headers_too_long", "it has more header lines than are read")
    return Part(headers_of(block), body, end, depth)


def _headers(raw: bytes, start: int, end: int, limits: MailLimits) -> tuple[int, int]:
    """Where the headers end and the body begins. A part may have none, or nothing else."""
    if raw.startswith(b"\r\n", start) or raw.startswith(b"\n", start):
        return start, min(end, start + (2 if raw.startswith(b"\r", start) else 1))
    if not _A_HEADER.match(raw, start, end):
        return start, start
    found = _HEADERS_END.search(raw, start, min(end, start + limits.header_bytes + 4))
    if found:
        return found.start(), found.end()
    if end - start > limits.header_bytes:
        raise TooMuch("headers_too_long", "its headers are longer than is read")
    return end, end


def _inside(raw: bytes, part: Part) -> Iterator[tuple[int, int]]:
    """Where the parts between the boundary lines stand; without a boundary there are none."""
    boundary = part.parameter("boundary").rstrip()[:MAX_BOUNDARY_CHARS]
    if not boundary:
        return
    mark = b"--" + boundary.encode("utf-8", "surrogateescape")
    begun = -1
    for start, end, is_last in _boundary_lines(raw, mark, part.start, part.end):
        if begun >= 0:
            yield begun, max(begun, start)
        begun = _line_end(raw, end, part.end)
        if is_last:
            return
    if begun >= 0:
        yield begun, part.end


def _boundary_lines(raw: bytes, mark: bytes, place: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, it closes) of each, the line break before it included. By a plain search: a regular expression of a
    mail's own is compiled for that mail alone, and takes ten times as long over 25 MB."""
    # A body may begin with its boundary, directly behind the headers' empty line.
    if raw.startswith(mark, place, end) and (closed := _MARK_END.match(raw, place + len(mark), end)):
        yield place, closed.end(), bool(closed[1])
        place = closed.end()
    line = b"\n" + mark
    at = place
    while (at := raw.find(line, at, end)) >= 0:
        closed = _MARK_END.match(raw, at + len(line), end)
        if closed is None:
            at += 1
            continue
        yield at - raw.startswith(b"\r", max(place, at - 1), at), closed.end(), bool(closed[1])
        at = place = closed.end()


def _line_end(raw: bytes, place: int, end: int) -> int:
    found = raw.find(b"\n", place, end)
    return end if found < 0 else found + 1


def _joined(value: object) -> str:
    """RFC 2231 values come in three."""
    if isinstance(value, tuple):
        charset, _, text = value
        try:
            return str(text).encode("latin-1", "surrogateescape").decode(charset or "ascii", "replace")
        except (LookupError, ValueError):
            return str(text)
    return str(value or "")


def _guarded(read: object, otherwise: str) -> str:
    """The library raises a dozen things over headers made to hurt."""
    assert callable(read)
    try:
        return str(read())
    except (ValueError, LookupError, TypeError, AttributeError, IndexError, RecursionError, AssertionError):
        return otherwise
