"""Bytes to text, whatever a mail says of them; and text that Postgres and a model can take."""

from __future__ import annotations

import codecs
import re
from email.errors import MessageError
from email.header import decode_header
from functools import lru_cache
from typing import Final

from charset_normalizer import from_bytes

MAX_HEADER_CHARS: Final = 16_384
MAX_ENCODED_WORDS: Final = 500
MAX_KNOWN_CHARS: Final = 100
GUESSED_BYTES: Final = 64 * 1024
# Names that mailers write and Python does not know.
_OTHER_NAMES: Final = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "ansi": "cp1252",
    "cp-850": "cp850",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "x-windows-949": "cp949",
    "x-mac-roman": "mac-roman",
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "gb2312": "gb18030",
    "us-ascii": "utf-8",  # a superset, and what is not ASCII is mostly this
    "ascii": "utf-8",
}
_WIDE: Final = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252"}  # as browsers read it
_TEXT_CODECS: Final = re.compile(
    r"^(?!base64|bz2|hex|quopri|rot|uu|zlib|zip|punycode|idna|unicode_escape|raw_|undefined)"
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Not seen by a person: tags, zero-width space, word joiner, marks of direction that turn text round, soft hyphen.
_UNSEEN = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ODD = re.compile("[" + "".join(one.pattern[1:-1] for one in (_UNSTORABLE, _UNSEEN, _CONTROLS)) + "]")
_ODD_LATIN: Final = bytes(code for code in range(256) if _ODD.match(chr(code)))


def to_text(data: bytes, charset: str) -> str:
    """Decode by the charset that is named, else by what fits; never raises."""
    name = _known(charset) if len(charset) <= MAX_KNOWN_CHARS else _known.__wrapped__(charset)
    if name is not None:
        try:
            return data.decode(name)
        except (UnicodeError, ValueError):
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(name or _guessed(data) or "cp1252", "replace")


@lru_cache(maxsize=128)
def _known(charset: str) -> str | None:
    name = charset.strip().strip("'\"").lower()
    name = _WIDE.get(name, _OTHER_NAMES.get(name, name))
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        return None
    return found if _TEXT_CODECS.match(found) and name else None


def _guessed(data: bytes) -> str | None:
    best = from_bytes(data[:GUESSED_BYTES]).best()
    return None if best is None else best.encoding


def header_text(value: object) -> str:
    """A header, unfolded and decoded; what is too long is cut."""
    text = str(value)[:MAX_HEADER_CHARS]
    if _is_plain(text) and "=?" not in text:
        return text.strip()
    text = re.sub(r"\r?\n[ \t]*|[\r\n]", " ", text)
    if "=?" in text and text.count("=?") <= MAX_ENCODED_WORDS * 2:
        text = _decoded_words(text)
    return one_line(_from_surrogates(text))


def _decoded_words(text: str) -> str:
    try:
        pieces = decode_header(text)
    except (MessageError, ValueError, LookupError, AttributeError):
        return text
    words = [
        piece if isinstance(piece, str) else to_text(piece, charset or "utf-8") for piece, charset in pieces
    ]
    return "".join(words)


def _from_surrogates(text: str) -> str:
    """Raw bytes in a header come as surrogates from the library."""
    try:
        return to_text(text.encode("ascii", "surrogateescape"), "utf-8")
    except UnicodeEncodeError:
        return text


def one_line(text: str) -> str:
    """For a field: no breaks, nothing unseen."""
    if _is_plain(text):
        return text.strip()
    return re.sub(r"\s+", " ", clean_text(text)).strip()


def _is_plain(text: str) -> bool:
    """Letters that are seen, with single blanks between: as most fields are."""
    return text.isascii() and text.isprintable() and "  " not in text


def clean_text(text: str) -> str:
    """What neither Postgres nor UTF-8 can hold is replaced; what no person sees is removed."""
    if not _may_be_odd(text):
        return text
    text = _UNSTORABLE.sub("\ufffd", text)
    return _CONTROLS.sub("", _UNSEEN.sub("", text))


def _may_be_odd(text: str) -> bool:
    """Most texts are Latin, where one look at their bytes tells, ten times as soon as an expression."""
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        return _ODD.search(text) is not None
    return len(data.translate(None, _ODD_LATIN)) < len(data)
