"""Names that people give to things."""

from __future__ import annotations

from typing import Final

from fleetprompt.kernel.errors import InvalidInput

MAX_CHARACTERS: Final = 60
JOINERS: Final = dict.fromkeys(map(ord, "\u200c\u200d"))
"""Invisible, but Persian words and many emoji are written with them."""


def checked_name(text: str, whose: str) -> str:
    """The name as it is. Raises InvalidInput for one that cannot be stored, typed again or read on one line.

    whose: as in "An agent's name", which begins the sentence.
    """
    shown = text.translate(JOINERS)
    if not shown or text != text.strip() or len(text) > MAX_CHARACTERS or not shown.isprintable():
        raise InvalidInput(
            f"{whose} has 1 to {MAX_CHARACTERS} visible characters on one line.",
            "Leave out control characters, spaces at its ends, and bytes that are not UTF-8.",
        )
    return text
