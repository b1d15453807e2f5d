"""How IMAP writes folders, sets of UIDs and dates, and what a FETCH answer says."""

from __future__ import annotations

import base64
import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.proton_mail.protocol import Answer, quoted

_DATE = re.compile(r'INTERNALDATE "([ \d]?\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"')
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a mail before it is fetched. received_at_ms: INTERNALDATE, unix ms, whole seconds."""

    uid: int
    size_bytes: int
    received_at_ms: int


def mailbox_name(folder: str) -> str:
    """A folder's name for a command: modified UTF-7 (RFC 3501, 5.1.3), quoted."""
    pieces = re.split(r"([^\x20-\x7e]+)", folder.replace("&", "&-"))
    for place in range(1, len(pieces), 2):
        encoded = base64.b64encode(pieces[place].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        pieces[place] = f"&{encoded.decode()}-"
    return str(quoted("".join(pieces)))


def folder_name(wire: bytes) -> str:
    """A folder's name as it came."""
    name = wire.decode("ascii", "replace")
    if name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return re.sub(r"&([^-]*)-", _shifted, name)


def _shifted(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    encoded = match[1].replace(",", "/")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-16-be")
    except ValueError:
        return match[0]


def uid_set(uids: Sequence[int]) -> str:
    """`1:3,7` of rising UIDs."""
    ranges: list[list[int]] = []
    for uid in uids:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(f"{first}:{last}" if first != last else str(first) for first, last in ranges)


def text_of(answer: Answer) -> str:
    """Its lines, without literals."""
    return b" ".join(bytes(piece) for piece in answer if isinstance(piece, bytes)).decode("ascii", "replace")


def body_of(answer: Answer) -> bytes:
    """The literal; very short ones may come as a quoted string."""
    literal = next((piece.obj for piece in answer if isinstance(piece, memoryview)), None)
    if isinstance(literal, bytes):
        return literal
    short = re.search(rb'BODY\[\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', bytes(answer[0]))
    return re.sub(rb"\\(.)", rb"\1", short[1]) if short else b""


def envelope_of(answer: Answer) -> Envelope | None:
    """None for news of flags, which nobody asked for."""
    text = text_of(answer)
    uid, size, date = (
        re.search(r"\bUID (\d+)", text),
        re.search(r"RFC822\.SIZE (\d+)", text),
        _DATE.search(text),
    )
    if uid is None or size is None or date is None:
        return None
    return Envelope(int(uid[1]), int(size[1]), _received_at_ms(date))


def _received_at_ms(date: re.Match[str]) -> int:
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = date.groups()
    number = _MONTHS.find(month.title()) // 3 + 1
    utc_s = calendar.timegm((int(year), number, int(day), int(hour), int(minute), int(second)))
    offset_s = (int(zone_hours) * 60 + int(zone_minutes)) * 60
    return (utc_s + (offset_s if sign == "-" else -offset_s)) * 1000
