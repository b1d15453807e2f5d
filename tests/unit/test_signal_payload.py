"""A payload is stored without a second copy of a long text, and read as it was told."""

from __future__ import annotations

from typing import Any

import pytest

from fleetprompt.model.payload import LONG_CHARS, stored, whole

LONG = "grüße an alle 🎈 " * LONG_CHARS
SHORT = "hello"


@pytest.mark.parametrize(
    ("payload", "is_shorter"),
    [
        ({"text": LONG, "request": LONG}, True),
        ({"text": f"Dear all, {LONG}\n> history", "request": LONG}, True),
        ({"text": LONG, "request": LONG[:-3]}, True),
        ({"text": SHORT, "request": SHORT}, False),
        ({"text": "something else", "request": LONG}, False),
        ({"text": LONG, "request": None}, False),
        ({"text": 1, "request": LONG}, False),
        ({"text": LONG, "request": LONG, "$request": [0, 1]}, False),
        ({"request": LONG}, False),
        ({"text": LONG, "$request": "of a stranger"}, False),
        ({"text": LONG, "$request": [0, 2]}, False),
        ({"text": LONG, "$request": [True, LONG_CHARS + 2]}, False),
        ({"text": LONG, "$request": [-1, LONG_CHARS]}, False),
        ({"text": SHORT, "$request": [0, LONG_CHARS]}, False),
        ({}, False),
    ],
)
def test_what_is_read_is_what_was_told(payload: dict[str, Any], is_shorter: bool) -> None:
    kept = stored(payload)
    assert ("$request" in kept and "request" not in kept and len(str(kept)) < len(str(payload))) == is_shorter
    assert whole(dict(kept)) == payload
