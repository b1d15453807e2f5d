"""A signal's payload as it is stored: what somebody asks is mostly part of the text beside it, and a mail is long.

{"text": ..., "request": a long part of it} is stored as {"text": ..., "$request": [start, end]}, in characters of the
text. Whoever reads a `Signal` is given the whole again; who reads the table by itself uses `whole`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

PLACE: Final = "$request"
LONG_CHARS: Final = 500


def stored(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without a second copy of a long text."""
    text, request = payload.get("text"), payload.get("request")
    if not isinstance(text, str) or not isinstance(request, str) or len(request) < LONG_CHARS:
        return payload
    start = 0 if text.startswith(request) else text.find(request)
    if start < 0 or PLACE in payload:
        return payload
    kept = {name: value for name, value in payload.items() if name != "request"}
    return {**kept, PLACE: [start, start + len(request)]}


def whole(found: dict[str, Any]) -> dict[str, Any]:
    """The other way round."""
    match found:
        case {"$request": [start, end], "text": str(text)} if "request" not in found and _is_place(
            start, end, text
        ):
            kept = {name: value for name, value in found.items() if name != PLACE}
            return {**kept, "request": text[start:end]}
    return found


def _is_place(start: object, end: object, text: str) -> bool:
    """Of those that `stored` writes; what somebody else calls so is theirs."""
    if type(start) is not int or type(end) is not int:
        return False
    return start >= 0 and start + LONG_CHARS <= end <= len(text)


class Payload(TypeDecorator[dict[str, Any]]):
    """The column."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        """To the table."""
        return None if value is None else dict(stored(value))

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        """From the table."""
        return None if value is None else whole(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Parts of it are asked for as of any JSON."""
        return self.impl_instance.coerce_compared_value(op, value)
