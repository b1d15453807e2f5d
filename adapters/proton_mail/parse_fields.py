"""A part's header fields, and the values of those that have parameters: well-formed ones at once, others by the library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from functools import lru_cache
from typing import Any, Final, NamedTuple

MAX_KNOWN_CHARS: Final = 256
# Where the first line holds nothing, and another one follows, versions of the library differ. Without a lone "\r" every
# line ends as it is read here, so that nothing is tried twice: a stranger writes as many blanks as he likes.
_FIELD = re.compile(
    r"([!-9;-~]+):(?![ \t]*\r?\n[ \t])[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)(?:\r?\n|\Z)", re.ASCII
)
_NAME: Final = r"[A-Za-z0-9_-]+"
_WORD: Final = r"[A-Za-z0-9!#$&+^_.{}|~/:?=-]+"
_QUOTED: Final = r'"[ !#-:=?-\[\]-~]*"'  # nothing in it that the library looks at: `"`, `\`, `;`, `<` or `>`
_STRUCTURED = re.compile(
    rf"([A-Za-z0-9!#$&+^_./-]+)((?:;[ \t\r\n]*{_NAME}=(?:{_WORD}|{_QUOTED}))*)", re.ASCII
)
_PARAMETER = re.compile(rf'({_NAME})=(?:"([^"]*)"|({_WORD}))', re.ASCII)


class Structured(NamedTuple):
    """kind: what stands before the parameters, in lower case; "" without the header. parameters: the first of each name."""

    kind: str
    parameters: Mapping[str, str]


ABSENT: Final = Structured("", {})


class Headers(Message):
    """As the library has them, but looked for by name in a table: it lowers every name at each of fifty looks."""

    def __init__(self, policy: Any = compat32) -> None:
        super().__init__(policy=policy)
        self._by_name: dict[str, list[str]] = {}

    def set_raw(self, name: str, value: str) -> None:
        """The one way in."""
        super().set_raw(name, value)
        self._by_name.setdefault(name.lower(), []).append(value)

    def get_all(self, name: str, failobj: Any = None) -> Any:
        found = self._by_name.get(name.lower())
        return failobj if found is None else [self._fetched(name, value) for value in found]

    def get(self, name: str, failobj: Any = None) -> Any:
        found = self._by_name.get(name.lower())
        return failobj if found is None else self._fetched(name, found[0])

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._by_name

    def structured(self, name: str) -> Structured | None:
        """name: in lower case. None: the library has to be asked, which takes ten times as long."""
        found = self._by_name.get(name)
        if found is None:
            return ABSENT
        return structured(found[0]) if len(found[0]) <= MAX_KNOWN_CHARS else None

    def _fetched(self, name: str, value: str) -> Any:
        return value if value.isascii() else self.policy.header_fetch_parse(name, value)


_PARSER: Final = BytesParser(Headers, policy=compat32)


def headers_of(block: bytes) -> Headers:
    """Of the lines before a body, whatever they are."""
    found = _well_formed(block)
    return by_library(block) if found is None else found


def by_library(block: bytes) -> Headers:
    """Also of what only looks like headers."""
    headers = _PARSER.parsebytes(block + b"\r\n\r\n", headersonly=True)
    assert isinstance(headers, Headers)
    return headers


def _well_formed(block: bytes) -> Headers | None:
    if not block.isascii() or block.count(b"\r") != block.count(b"\r\n"):
        return None
    text, place, headers = block.decode("ascii"), 0, Headers()
    while place < len(text):
        found = _FIELD.match(text, place)
        if found is None:
            return None
        headers.set_raw(found[1], found[2])
        place = found.end()
    return headers


@lru_cache(maxsize=256)
def structured(value: str) -> Structured | None:
    """A value with parameters; None when it is not well formed, or is encoded (RFC 2231)."""
    found = _STRUCTURED.fullmatch(value)
    if found is None:
        return None
    kind = found[1].lower()
    parameters = {kind: ""}  # so the library: a lone `filename` is one without a value
    for name, quoted, token in _PARAMETER.findall(found[2]):
        parameters.setdefault(name.lower(), quoted or token)
    return Structured(kind, parameters)
