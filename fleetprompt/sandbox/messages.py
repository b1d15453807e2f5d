"""HTTP requests and answers as the sandbox servers see them: whole, and with the answers that a broken peer gives."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, whole. headers: names in lower case. query: the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON. Raises ValueError (JSONDecodeError, UnicodeDecodeError) when it is none."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Cut:
    """No answer: the TCP connection is reset."""


@dataclass(frozen=True, slots=True)
class Later:
    """The answer comes after `delay_s` seconds; `answer` is called then."""

    delay_s: float
    answer: Callable[[], Answer]


@dataclass(frozen=True, slots=True)
class Eventually:
    """The answer comes when somebody else has answered; `answer` is awaited for it."""

    answer: Callable[[], Awaitable[Answer]]


Answer = Response | Cut | Later | Eventually


def json_response(status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A JSON answer; lone surrogates are escaped, as `json` does, so that any text can be sent."""
    return Response(status, encode_json(value), headers)


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; falls back to \\u escapes where the text has no UTF-8 form."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
