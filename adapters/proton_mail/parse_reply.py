"""What a person newly wrote, apart from the history below it. A hint: the best library errs on a quarter of cases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from mailparser_reply import EmailMessage  # type: ignore[import-untyped]

from adapters.proton_mail.parse_limits import within

SECONDS: Final = 1.5
READ_CHARS: Final = 60_000
# The library takes time with the square of what it reads; what is new ends near the first sign, mostly very near.
BEHIND_CHARS: Final = (600, 4_000)
BEFORE_CHARS: Final = 150
LANGUAGES: Final = ("en", "de", "fr", "es", "it", "nl", "pl")
_HEADER: Final[re.Pattern[str]] = EmailMessage(text="", languages=list(LANGUAGES)).HEADER_REGEX
SEPARATOR_CHARS: Final = 32  # as many as the library's lines of underscores have, or more
_FORWARDED = re.compile(
    r"^[ \t>]*-{2,}\s{0,4}(?:forwarded message|original message forwarded|weitergeleitete nachricht|message transf\u00e9r\u00e9|mensaje reenviado)"
    r"|^[ \t>]*begin forwarded message:|^[ \t>]*anfang der weitergeleiteten",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED_FIRST: Final = frozenset("-bBaA")
# Where history, a signature or a disclaimer may begin; without any of them all of it is new.
_SIGN = re.compile(
    r"^[ \t]*(?:>|-{2,}|_{5,}|\*?(?:from|von|de|da|van|od|sent|gesendet|envoy\u00e9|enviado|inviato)\b.{0,200}[:@]|sent from|get outlook)"
    r"|\b(?:wrote|writes|schrieb|\u00e9crit|escribi\u00f3|ha scritto|schreef|napisa\u0142\(?a?\)?)\b[^\n]{0,200}:[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)


# How a line begins that may hold one of those two; cheaper to look at than any expression.
_BEGINNINGS: Final = (
    ">",
    "--",
    "__",
    "*",
    "from",
    "von",
    "de",
    "da",
    "van",
    "od",
    "sent",
    "gesendet",
    "envoy",
    "enviado",
    "inviato",
    "get",
    "begin",
    "anfang",
)
_BLANKS: Final = " \t\r"
_FIRST: Final = frozenset("".join(one[0] + one[0].upper() for one in _BEGINNINGS))
_LOOKED: Final = _FIRST | frozenset(_BLANKS)
_ENDS: Final = frozenset(":" + _BLANKS)
_LATIN_BLANKS: Final = bytes(code for code in range(256) if chr(code).isspace())


def split_reply(text: str, marked: str = "") -> tuple[str, str]:
    """(what is new, the rest). marked: the text without what the mail client marked as quoted, if it did.

    Forwarded content is never cut off, and what is new is never empty when the text is not.
    """
    lines = _telling_lines(text[:READ_CHARS])
    if not text.strip() or any(_is_forwarded(line) for _, line in lines):
        return text, ""
    reply = marked.strip() or (
        within(SECONDS, lambda: _by_library(text, lines), lambda: text) if lines else text
    )
    if not reply.strip() or reply is text:
        return text, ""
    return reply.strip(), _rest(text, reply.strip())


def _telling_lines(text: str) -> list[tuple[int, str]]:
    """(place, line) of those by which history may begin: neither sign goes beyond its line."""
    place, told = 0, []
    for line in text.split("\n"):
        # Most lines have none of these at either end, and are not looked at twice.
        if line and (line[0] == ">" or ((line[0] in _LOOKED or line[-1] in _ENDS) and _may_tell(line))):
            told.append((place, line))
        place += len(line) + 1
    return told


def _may_tell(line: str) -> bool:
    bare = line.strip(_BLANKS)
    if not bare:
        return False
    return bare[-1] == ":" or (bare[0] in _FIRST and bare[:9].lower().startswith(_BEGINNINGS))


def _is_forwarded(line: str) -> bool:
    """Most lines of history only begin with ">", and need no expression."""
    return line.lstrip(" \t>")[:1] in _FORWARDED_FIRST and _FORWARDED.match(line) is not None


def _by_library(text: str, lines: Sequence[tuple[int, str]]) -> str:
    found = ((place, _SIGN.search(line)) for place, line in lines)
    start = next((place + sign.start() for place, sign in found if sign is not None), -1)
    if start < 0:
        return text
    begin = _begin(text, start)
    for behind in BEHIND_CHARS:
        near = text[begin : start + behind]
        reply = latest(near)
        if _bare_length(reply) < _bare_length(near):
            return text[:begin] + reply
        if begin + len(near) == len(text):
            break
    return text  # all of it was new as far as the library saw: then so is the rest


def latest(text: str) -> str:
    """What stands before the first header of history, as the library's `parse_reply` has it.

    That one also looks for signatures, of which it makes no use here, in every piece, and builds its expressions anew.
    """
    text = _normal(text)
    place = 0
    for header in _headers(text):
        position = text.find(header, place + (place > 0))
        content = text[place:position].strip()
        if content:
            return content
        place = max(position, 0)
    return text[place:].strip()


def _normal(text: str) -> str:
    if text.count("_") + text.count("-") >= SEPARATOR_CHARS:
        return str(EmailMessage(text=text, languages=list(LANGUAGES)).text)
    return "\n".join([line.strip() for line in text.replace("\r\n", "\n").split("\n")])


def _headers(text: str) -> Iterator[str]:
    """What the expression finds: every way to match begins at a line's start or at the break before it."""
    place = 0
    while place >= 0:
        found = _HEADER.match(text, place)
        if found is not None:
            yield from filter(None, found.groups())
        place = _line_edge(text, place + 1 if found is None else found.end())


def _line_edge(text: str, place: int) -> int:
    """The next line break, or start of a line; -1 without one."""
    return place if text[place - 1 : place] == "\n" else text.find("\n", place)


def _begin(text: str, sign: int) -> int:
    """From where the library reads: whole lines before the sign, and not blanks alone, which it would pass over."""
    begin = text.rfind("\n", 0, max(0, sign - BEFORE_CHARS)) + 1
    return begin if text[begin:sign].strip() else 0


def _bare_length(text: str) -> int:
    """How many characters are no blanks."""
    try:
        return len(text.encode("latin-1").translate(None, _LATIN_BLANKS))  # no piece of it is made
    except UnicodeEncodeError:
        return len("".join(text.split()))


def _rest(text: str, reply: str) -> str:
    """What stands behind the reply, however the library moved its blanks."""
    wanted, place = _bare_length(reply), 0
    for line in text.splitlines(keepends=True):
        length = _bare_length(line)
        if length > wanted:
            return text[place + _place_of(line, wanted) :].strip()
        wanted -= length
        place += len(line)
    return ""


def _place_of(line: str, wanted: int) -> int:
    """Behind which character so many are no blanks."""
    for place, character in enumerate(line):
        if wanted == 0:
            return place
        wanted -= not character.isspace()
    return len(line)
