"""JSON from the wire, made harmless once: whatever a member of the team could put into a post must not stop the reader.

NUL and lone surrogates become U+FFFD, NaN and infinities null, nesting beyond MAX_DEPTH null.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 64
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class MalformedJson(ValueError):
    """These bytes are not JSON; says nothing of their content."""


def decode(data: bytes | str) -> Any:
    """Read JSON. Raises MalformedJson."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        return clean(_load(text))
    except ValueError:
        raise MalformedJson("not JSON") from None  # the original quotes the document


def clean_text(text: str) -> str:
    """Replace what neither Postgres nor UTF-8 can hold."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean(value: Any, depth: int = 0) -> Any:
    """Normalise a decoded value."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {clean_text(key): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value]
    return value


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_flattened(text))


def _flattened(text: str) -> str:
    """Replace each value nested deeper than MAX_DEPTH by null, without recursion."""
    kept: list[str] = []
    depth, copied_to = 0, 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(text[copied_to : token.start()] + "null")
        elif mark in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                copied_to = token.end()
    return "".join(kept) + text[copied_to:]
