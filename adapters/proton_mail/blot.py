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
# RFC 2045, 6.7: an encoded byte, a soft line break, or a byte as it is.
_QUOTED: Final = re.compile(rb"=[0-9A-Fa-f]{2}|=[ \t]*\r?\n|[\s\S]")
_TAG: Final = re.compile(r"<[^<>]*>")
_SPACE: Final = re.compile(r"\s+")
_SUBJECT: Final = re.compile(rb"^subject:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_ALL: Final = bytes(byte if byte in b"\r\n" else ord("*") for byte in range(256))
_UNREADABLE: Final = ("x-uuencode", "uuencode", "uue", "x-uue")


def blotted(raw: bytes, find: Find, words: Sequence[str], limits: MailLimits) -> bytes:
    """The mail without what is found in its texts. words: what was found in the mail as a person reads it; a text that
    says one of them in pieces (markup, another charset) goes whole."""
    out = bytearray(raw)
    try:
        root = split(raw, limits)
    except TooMuch:
        _overwrite(out, 0, find(raw))
        return bytes(out)
    _blot_headers(out, raw[: root.start], find, words)
    for part in root.walk():
        if _is_text(part):
            _blot_part(out, raw, part, find, words, limits)
    return bytes(out)


def _is_text(part: Part) -> bool:
    """As the reader of bodies sees it, or a little more."""
    is_leaf = not part.children and part.disposition != "attachment"
    return is_leaf and (part.type.startswith(("text/", "multipart/")) or part.parent is None)


def _blot_headers(out: bytearray, head: bytes, find: Find, words: Sequence[str]) -> None:
    _overwrite(out, 0, [*find(head), *_places(head, words)])
    for subject in _SUBJECT.finditer(head):
        said = subject[1]
        if b"=?" in said and words:  # encoded words (RFC 2047) hide what they say
            out[subject.start(1) : subject.end(1)] = said.translate(_ALL)


def _blot_part(
    out: bytearray, raw: bytes, part: Part, find: Find, words: Sequence[str], limits: MailLimits
) -> None:
    body = raw[part.start : part.end]
    if len(body) > limits.html_bytes or part.encoding in _UNREADABLE:
        if words:
            out[part.start : part.end] = body.translate(_ALL)
        return
    data = _decoded(body, part.encoding)
    spans = [*find(data), *_places(data, words)]
    rest = bytearray(data)
    _overwrite(rest, 0, spans)
    if _still_says(to_text(bytes(rest), part.parameter("charset")), words):
        out[part.start : part.end] = body.translate(_ALL)
    elif spans:
        out[part.start : part.end] = _encoded(body, bytes(rest), spans, part.encoding)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return b"".join(value for _, value in _tokens(body))
    return b"".join(decoded(memoryview(body), encoding))


def _tokens(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(as it is written, what it means: one byte or none)"""
    for token in _QUOTED.findall(body):
        if len(token) == 1:
            yield token, token
        else:
            yield token, b"" if token[-1:] == b"\n" else bytes([int(token[1:], 16)])


def _encoded(body: bytes, data: bytes, spans: Sequence[Span], encoding: str) -> bytes:
    """The body with other data of the same length in it."""
    if encoding == "base64":
        digits = base64.b64encode(data).rstrip(b"=")
        out = bytearray(body)
        for found, digit in zip(_ALPHABET.finditer(body), digits, strict=False):
            out[found.start()] = digit
        return bytes(out)
    if encoding != "quoted-printable":
        return data
    hidden = {place for start, end in spans for place in range(start, end)}
    pieces, place = [], 0
    for token, value in _tokens(body):
        is_hidden = bool(value) and place in hidden and value not in (b"\r", b"\n")
        pieces.append((b"*" if len(token) == 1 else b"=2A") if is_hidden else token)
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
