"""What a person newly wrote, apart from the history below it. A hint: the best library errs on a quarter of cases."""

from __future__ import annotations

import re
from typing import Final

from mailparser_reply import EmailReplyParser  # type: ignore[import-untyped]

from adapters.proton_mail.parse_limits import within

SECONDS: Final = 1.5
READ_CHARS: Final = 60_000
LANGUAGES: Final = ["en", "de", "fr", "es", "it", "nl", "pl"]
_FORWARDED = re.compile(
    r"^[ \t>]*-{2,}\s{0,4}(?:forwarded message|original message forwarded|weitergeleitete nachricht|message transf\u00e9r\u00e9|mensaje reenviado)"
    r"|^[ \t>]*begin forwarded message:|^[ \t>]*anfang der weitergeleiteten",
    re.IGNORECASE | re.MULTILINE,
)


def split_reply(text: str, marked: str = "") -> tuple[str, str]:
    """(what is new, the rest). marked: the text without what the mail client marked as quoted, if it did.

    Forwarded content is never cut off, and what is new is never empty when the text is not.
    """
    if not text.strip() or _FORWARDED.search(text[:READ_CHARS]):
        return text, ""
    reply = marked.strip() or within(SECONDS, lambda: _by_library(text), lambda: text)
    if not reply.strip():
        return text, ""
    return reply.strip(), _rest(text, reply.strip())


def _by_library(text: str) -> str:
    if len(text) > READ_CHARS:
        return text
    return str(EmailReplyParser(languages=list(LANGUAGES)).parse_reply(text) or "")


def _rest(text: str, reply: str) -> str:
    """What stands behind the reply, however the library moved its blanks."""
    wanted = sum(1 for character in reply if not character.isspace())
    for place, character in enumerate(text):
        if wanted == 0:
            return text[place:].strip()
        wanted -= not character.isspace()
    return ""
