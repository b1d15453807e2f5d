"""SEARCH and FETCH over one folder."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_left
from collections.abc import Iterable

from fleetprompt.sandbox.mailbox.bridge import header
from fleetprompt.sandbox.mailbox.imap_parse import BadCommand, in_set, is_set
from fleetprompt.sandbox.mailbox.records import Entry, Folder

_PARTIAL = re.compile(r"<(\d+)\.(\d+)>$")


def search(folder: Folder, keys: list[str], *, by_uid: bool) -> list[int]:
    """The numbers of the mails that fit all keys. Raises BadCommand."""
    keys = list(keys)
    if keys[:1] and keys[0].upper() == "CHARSET":
        keys = keys[2:]
    found = list(enumerate(folder.entries, 1))
    while keys:
        found = _fitting(folder, found, keys)
    return [entry.uid if by_uid else number for number, entry in found]


def _fitting(folder: Folder, found: list[tuple[int, Entry]], keys: list[str]) -> list[tuple[int, Entry]]:
    key = keys.pop(0).upper()
    if key == "ALL":
        return found
    if key in ("SEEN", "UNSEEN"):
        return [item for item in found if item[1].seen is (key == "SEEN")]
    if key == "UID":
        ranges = in_set(keys.pop(0), highest_uid(folder))
        return [item for item in found if any(item[1].uid in one for one in ranges)]
    if key == "SINCE":
        day = datetime.datetime.strptime(keys.pop(0), "%d-%b-%Y").replace(tzinfo=datetime.UTC)
        since = day.date()
        return [item for item in found if _received(item[1]).date() >= since]
    if key == "HEADER":
        name, value = keys.pop(0), keys.pop(0).lower()
        return [item for item in found if value in header(item[1].mail.raw, name).lower()]
    if is_set(key):
        ranges = in_set(key, len(folder.entries))
        return [item for item in found if any(item[0] in one for one in ranges)]
    raise BadCommand(f"unknown search key {key}")


def highest_uid(folder: Folder) -> int:
    """What `*` means."""
    return folder.entries[-1].uid if folder.entries else 0


def chosen(folder: Folder, numbers: str, *, by_uid: bool) -> Iterable[tuple[int, Entry]]:
    """The mails of a set, in order."""
    entries = folder.entries
    places: set[int] = set()
    for one in in_set(numbers, highest_uid(folder) if by_uid else len(entries)):
        if by_uid:  # UIDs rise
            first = bisect_left(entries, one.start, key=lambda entry: entry.uid)
            places.update(range(first, bisect_left(entries, one.stop, key=lambda entry: entry.uid)))
        else:
            places.update(range(max(0, one.start - 1), min(len(entries), one.stop - 1)))
    return [(place + 1, entries[place]) for place in sorted(places)]


def fetched(number: int, entry: Entry, items: list[str], *, by_uid: bool) -> bytes:
    """One FETCH answer, without its line end. Raises BadCommand."""
    asked = [item.upper() for item in items if item not in "()"]
    if by_uid and "UID" not in asked:
        asked.insert(0, "UID")
    return b"* %d FETCH (%s)" % (number, b" ".join(_item(entry, item) for item in asked))


def _item(entry: Entry, item: str) -> bytes:
    if item == "UID":
        return b"UID %d" % entry.uid
    if item == "FLAGS":
        return b"FLAGS (\\Seen)" if entry.seen else b"FLAGS ()"
    if item == "INTERNALDATE":
        return _received(entry).strftime('INTERNALDATE "%d-%b-%Y %H:%M:%S +0000"').encode()
    if item == "RFC822.SIZE":
        return b"RFC822.SIZE %d" % len(entry.mail.raw)
    if item.startswith(("BODY[", "BODY.PEEK[")):
        return _body(entry, item)
    raise BadCommand(f"unknown fetch item {item}")


def _body(entry: Entry, item: str) -> bytes:
    if not item.startswith("BODY.PEEK"):
        entry.seen = True
    raw = entry.mail.raw
    section = item[item.index("[") + 1 : item.index("]")]
    if section == "HEADER":
        raw = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    partial = _PARTIAL.search(item)
    origin = b""
    if partial:
        start, count = int(partial[1]), int(partial[2])
        raw, origin = raw[start : start + count], b"<%d>" % start
    return b"BODY[%s]%s {%d}\r\n%s" % (section.encode(), origin, len(raw), raw)


def _received(entry: Entry) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(entry.mail.received_at_s, datetime.UTC)
