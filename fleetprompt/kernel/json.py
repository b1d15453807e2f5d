"""JSON as it enters the house: normalised once, so that Postgres and models can hold it.

NUL and lone surrogates become U+FFFD, NaN and infinities become null, nesting beyond MAX_DEPTH becomes a marker.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

MAX_DEPTH = 64
TOO_DEEP = "[nested too deep]"


def clean_text(text: str) -> str:
    """Replace what Postgres text cannot hold: NUL and lone surrogates."""
    if "\x00" not in text:
        with suppress(UnicodeEncodeError):  # half of a surrogate pair
            text.encode()
            return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace_surrogate").decode("utf-8")


def clean(value: Any, depth: int = 0) -> Any:
    """Normalise a JSON value of any origin. Never raises."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list | tuple) and depth >= MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item, depth + 1) for item in value]
    return value


def clean_object(value: dict[str, Any]) -> dict[str, Any]:
    """As `clean`, for an object without floats and of little depth: mostly it holds nothing to be cleaned, and one look
    at its JSON tells."""
    try:
        is_clean = b"\\u0000" not in to_json(value)
    except ValueError:  # half of a surrogate pair
        is_clean = False
    return value if is_clean else dict(clean(value))


def canonical(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces. For digests and idempotency keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _replace_surrogates(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "\ufffd".encode() * (error.end - error.start), error.end


import codecs  # noqa: E402

codecs.register_error("replace_surrogate", _replace_surrogates)
