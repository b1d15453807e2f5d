"""Mails that were forwarded as attachments: their text is data beside what the sender wrote, quoted line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from adapters.proton_mail.mail import decoded
from adapters.proton_mail.parse_headers import addresses, value
from adapters.proton_mail.parse_limits import TooMuch
from adapters.proton_mail.parse_structure import Part, split
from adapters.proton_mail.settings import MailLimits

FORWARDED: Final = ("message/rfc822", "message/global")
MOST: Final = 5
MAX_BYTES: Final = 5 * 1024 * 1024
MAX_CHARS: Final = 50_000
BEGINNING: Final = "---------- Forwarded message (attached) ----------"


def forwarded(
    raw: bytes, parts: Sequence[Part], limits: MailLimits, text_of: Callable[[bytes, Part], str]
) -> tuple[str, bool]:
    """(the quoted texts, whether some were left out). text_of: a mail's own text, of (bytes, root)."""
    inside = [part for part in parts if part.type in FORWARDED]
    told: list[str] = []
    for part in inside[:MOST]:
        if part.end - part.start <= MAX_BYTES:
            told += _told(
                b"".join(decoded(memoryview(raw)[part.start : part.end], part.encoding)), limits, text_of
            )
    text = "\n\n".join(told)
    return text[:MAX_CHARS], len(told) < len(inside) or len(text) > MAX_CHARS


def _told(raw: bytes, limits: MailLimits, text_of: Callable[[bytes, Part], str]) -> list[str]:
    try:
        root = split(raw, limits)
    except TooMuch:
        return []
    sender = ", ".join(f"{one.name} <{one.address}>".strip() for one in addresses(root.headers, "From")[:3])
    head = [f"From: {sender}", f"Subject: {value(root.headers, 'Subject')[:500]}", ""]
    lines = [*head, *text_of(raw, root).split("\n")]
    return ["\n".join([BEGINNING, *(f"> {line}".rstrip() for line in lines)])]
