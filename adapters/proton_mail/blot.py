"""Words of a mail overwritten in its raw bytes, each by as many `*`: every part, attachment and line stays where it is.

In headers and in texts, whatever their transfer encoding; attachments stay as they are.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from adapters.proton_mail.mail import decoded
from adapters.proton_mail.parse_charset import to_text
from adapters.proton_mail.parse_limits import TooMuch
from adapters.proton_mail.parse_structure import Part, split
from adapters.proton_mail.settings import MailLimits

Span = tuple[int, int]
Find = Callable[[bytes], Sequence[Span]]

_ALPHABET: Final = re.compile(rb"[A-Za-z0-9+/]")
# RFC 2045, 6.7: bytes as they are, an encoded byte, a soft line break, or a sign that encodes nothing.
_QUOTED: Final = re.compile(rb"[^=]+|=[0-9A-Fa-f]{2}|=[ \t]*\r?\n|=")
_TAG: Final = re.compile(r"<[^<>]*>")
_SPACE: Final = re.compile(r"\s+")
_SUBJECT: Final = re.compile(rb"^subject:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_ALL: Final = bytes(byte if byte in b"\r\n" else ord("*") for byte in range(256))
_UNREADABLE: Final = ("x-uuencode", "uuencode", "uue", "x-uue")
# No single search holds the interpreter for long, and no mail is made of searches.
PIECE_BYTES: Final = 256 * 1024
OVERLAP_BYTES: Final = 16 * 1024  # longer than nearly all that is looked for
MOST_WORDS: Final = 50  # beyond it texts go whole


def blotted(raw: bytes, find: Find, words: Sequence[str], limits: MailLimits) -> bytes:
    """The mail without what is found in its texts. words: what was found in the mail as a person reads it; a text that
    says one of them in pieces (markup, another charset) goes whole, and so do the texts beyond what a mail may cost.

    Takes seconds for a mail made to: not for an event loop, unless the mail is short.
    """
    out = bytearray(raw)
    try:
        root = split(raw, limits)
    except TooMuch:
        _overwrite(out, 0, _found(find, raw))
        return bytes(out)
    _blot_headers(out, raw[: root.start], find, words)
    room = limits.html_bytes if len(words) <= MOST_WORDS else 0
    for part in root.walk():
        if _is_text(part):
            room -= part.end - part.start
            _blot_part(out, raw, part, find, words, is_readable=room >= 0)
    return bytes(out)


def _found(find: Find, data: bytes) -> list[Span]:
    """In pieces that overlap; what lies in two of them is told twice."""
    spans: list[Span] = []
    for start in range(0, len(data), PIECE_BYTES):
        first = max(0, start - OVERLAP_BYTES)
        spans += [(first + a, first + b) for a, b in find(data[first : start + PIECE_BYTES])]
    return spans


def _is_text(part: Part) -> bool:
    """As the reader of bodies sees it, or a little more."""
    is_leaf = not part.children and part.disposition != "attachment"
    return is_leaf and (part.type.startswith(("text/", "multipart/")) or part.parent is None)


def _blot_headers(out: bytearray, head: bytes, find: Find, words: Sequence[str]) -> None:
    _overwrite(out, 0, [*_found(find, head), *_places(head, words[:MOST_WORDS])])
    for subject in _SUBJECT.finditer(head):
        said = subject[1]
        if b"=?" in said and words:  # encoded words (RFC 2047) hide what they say
            out[subject.start(1) : subject.end(1)] = said.translate(_ALL)


def _blot_part(
    out: bytearray, raw: bytes, part: Part, find: Find, words: Sequence[str], *, is_readable: bool
) -> None:
    body = raw[part.start : part.end]
    if not is_readable or part.encoding in _UNREADABLE:
        if words:
            out[part.start : part.end] = body.translate(_ALL)
        else:
            _overwrite(out, part.start, _found(find, body))  # as it is written, at least
        return
    data = _decoded(body, part.encoding)
    spans = [*_found(find, data), *_places(data, words)]
    rest = bytearray(data)
    _overwrite(rest, 0, spans)
    if _still_says(to_text(bytes(rest), part.parameter("charset")), words):
        out[part.start : part.end] = body.translate(_ALL)
    elif spans:
        out[part.start : part.end] = _encoded(body, bytes(rest), part.encoding)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return b"".join(value for _, value in _tokens(body))
    return b"".join(decoded(memoryview(body), encoding))


def _tokens(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(as it is written, what it means): bytes that stand for themselves, or an encoded one, or a break that means nothing"""
    for found in _QUOTED.finditer(body):
        token = found[0]
        if token[:1] != b"=" or len(token) == 1:
            yield token, token
        else:
            yield token, b"" if token[-1:] == b"\n" else bytes([int(token[1:], 16)])


def _encoded(body: bytes, data: bytes, encoding: str) -> bytes:
    """The body with other data of the same length in it."""
    if encoding == "base64":
        digits = base64.b64encode(data).rstrip(b"=")
        out = bytearray(body)
        for found, digit in zip(_ALPHABET.finditer(body), digits, strict=False):
            out[found.start()] = digit
        return bytes(out)
    if encoding != "quoted-printable":
        return data
    pieces, place = [], 0
    for token, value in _tokens(body):
        meant = data[place : place + len(value)]
        pieces.append(token if meant == value else meant if token == value else b"=2A")
        place += len(value)
    return b"".join(pieces)


def _places(data: bytes, words: Sequence[str]) -> Iterator[Span]:
    """Where the words stand as they are."""
    for word in words:
        for spelt in {word.encode(), html.escape(word, quote=False).encode()}:
            for found in re.finditer(re.escape(spelt), data):
                yield found.span()


def _still_says(text: str, words: Sequence[str]) -> bool:
    plain = _SPACE.sub("", html.unescape(_TAG.sub("", text)))
    return any(_SPACE.sub("", word) in plain for word in words)


def _overwrite(out: bytearray, offset: int, spans: Sequence[Span]) -> None:
    for start, end in spans:
        place = slice(offset + start, offset + end)
        out[place] = bytes(out[place]).translate(_ALL)
