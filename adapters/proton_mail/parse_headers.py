"""Identifiers, addresses and dates of a mail's headers, made harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from email.message import Message
from email.utils import getaddresses, mktime_tz, parsedate_tz
from typing import Final

from adapters.proton_mail.mail import Address
from adapters.proton_mail.parse_charset import MAX_HEADER_CHARS, header_text, one_line

MAX_ADDRESSES: Final = 200
MAX_REFERENCES: Final = 200
MAX_REFERENCES_CHARS: Final = 65_536
_MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f]{1,996}>")
_INTERNAL_ID = re.compile(r"[A-Za-z0-9_=+/-]{8,200}")
_PLAIN_ADDRESS = re.compile(r"[^\s<>()\[\]\",;:@]{1,128}@[^\s<>()\[\]\",;:@]{1,255}")
# As most are: words and one address, of letters and digits alone; the library takes ten times as long over it.
_ATOMS: Final = r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){0,8}"
_PLAIN_SENDER = re.compile(
    rf"(?:([A-Za-z0-9]{{1,64}}(?: [A-Za-z0-9]{{1,64}}){{0,8}}) )?(<)?({_ATOMS}@{_ATOMS})(?(2)>)"
)
# RFC 5322, as almost all are.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLAIN_DATE = re.compile(
    rf"(?:[A-Za-z]{{3}}, )?(\d\d?) ({'|'.join(_MONTHS)}) (19[7-9]\d|2\d{{3}}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"
    r"(?: \([A-Za-z]{1,5}\))?",
    re.ASCII,
)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
INTERNAL_ID: Final = "X-Pm-Internal-Id"


def values(headers: Message, name: str) -> list[str]:
    """All of a header's values, unfolded and decoded."""
    try:
        return [header_text(value) for value in headers.get_all(name, [])]
    except (ValueError, TypeError, LookupError):
        return []


def value(headers: Message, name: str) -> str:
    """The first of a header's values; "" without it."""
    found = values(headers, name)
    return found[0] if found else ""


def message_ids(headers: Message, name: str) -> tuple[str, ...]:
    """Message-IDs with their angle brackets, in order; of very many the first and the last ones.

    Other mailers RFC 2047-encode long ids, which is wrong and common: those are decoded.
    """
    texts = [_unfolded(one)[:MAX_REFERENCES_CHARS] for one in headers.get_all(name, [])]
    read = [header_text(text) if "=?" in text and len(text) <= MAX_HEADER_CHARS else text for text in texts]
    found = list(dict.fromkeys(_MESSAGE_ID.findall(" ".join(read))))
    kept = found if len(found) <= MAX_REFERENCES else [found[0], *found[1 - MAX_REFERENCES :]]
    return tuple(one_line(one) for one in kept)


def message_id(headers: Message) -> str:
    """The mail's own; "" without a usable one."""
    found = message_ids(headers, "Message-ID")
    return found[0] if found else ""


def internal_id(headers: Message) -> str:
    """Proton's; two of them are none, since one was not written by Bridge."""
    found = values(headers, INTERNAL_ID)
    return found[0] if len(found) == 1 and _INTERNAL_ID.fullmatch(found[0]) else ""


def addresses(headers: Message, name: str) -> tuple[Address, ...]:
    """The addresses of a header, whatever it looks like; names decoded after they were taken apart."""
    raw = [_unfolded(one)[:MAX_HEADER_CHARS] for one in headers.get_all(name, [])]
    if not raw:
        return ()
    if len(raw) == 1 and (plain := _PLAIN_SENDER.fullmatch(raw[0])) and (plain[2] or not plain[1]):
        return (Address(plain[3].lower(), plain[1] or ""),)
    try:
        pairs = getaddresses(raw[:20])
    except (ValueError, IndexError, RecursionError, TypeError, AttributeError):
        pairs = []
    found = [
        Address(one_line(address).lower(), header_text(name)) for name, address in pairs if "@" in address
    ]
    if not found:  # the strict parser gives up as a whole
        found = [Address(one.lower()) for text in raw for one in _PLAIN_ADDRESS.findall(text[:4096])]
    return unique(found)[:MAX_ADDRESSES]


def _unfolded(value: object) -> str:
    text = str(value)
    return re.sub(r"\r?\n[ \t]*", " ", text) if "\n" in text else text


def unique(found: Iterable[Address]) -> tuple[Address, ...]:
    """Each address once."""
    return tuple({one.address: one for one in reversed(list(found))}.values())[::-1]


def plain_addresses(text: str) -> list[str]:
    """Whatever looks like an address in a text, in lower case."""
    return [one.strip(".'").lower() for one in _PLAIN_ADDRESS.findall(text)]


def date_ms(headers: Message) -> int:
    """The Date header, unix ms; 0 when it is none."""
    text = value(headers, "Date")[:200]
    try:
        if found := _PLAIN_DATE.fullmatch(text):
            return _stamp_ms(found)
        parsed = parsedate_tz(text)
        stamp = 0 if parsed is None else mktime_tz(parsed) * 1000
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0
    return stamp if 0 < stamp < 1 << 50 else 0


def _stamp_ms(found: re.Match[str]) -> int:
    """A day beyond the month's end belongs to the next one, as the library counts."""
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    days = date(int(year), _MONTHS.index(month) + 1, 1).toordinal() - _EPOCH_DAY + int(day) - 1
    zone_s = int(zone_hours) * 3600 + int(zone_minutes) * 60
    seconds = (days * 24 + int(hour)) * 3600 + int(minute) * 60 + int(second)
    return max(0, seconds + (zone_s if sign == "-" else -zone_s)) * 1000
