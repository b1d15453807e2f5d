"""Secrets in mails are taken out before anything is written: of subject and texts, and of the raw mail.

A raw mail is kept as it was fetched, but for this: in headers and texts each such word is overwritten by as many `*`, so
that all else, attachments too, stays byte for byte. Attachments are not looked into. A token within an address of the
web is left: newsletters are full of them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from adapters.proton_mail import MailLimits, MailReceived
from adapters.proton_mail.blot import blotted
from fleetprompt.kernel.secret_shapes import REMOVED, Shape, shapes_in

LIMITS: Final = MailLimits()
ADDRESS_CHARS: Final = 500
_IN_ADDRESS: Final = re.compile(r"https?://[^\s<>\"]*\Z")
PARTLY_SHOWN: Final = frozenset({"plain_differs", "text_cut", "body_cut", "forwarded_cut"})
OF_ADDRESSES: Final = ("jwt", "password", "token")


def without_secrets(event: MailReceived) -> tuple[MailReceived, tuple[str, ...]]:
    """The mail without them, and their kinds; mostly there are none, and it stays as it is."""
    mail = event.mail
    if mail is None:
        return _unread(event)
    found = [(text, _meant(text)) for text in (mail.subject, mail.text)]
    kinds = tuple(dict.fromkeys(one.kind for _, shapes in found for one in shapes))
    if not kinds:
        return (event, ()) if PARTLY_SHOWN.isdisjoint(mail.notes) else _unread(event)
    words = sorted({text[one.start : one.end] for text, shapes in found for one in shapes}, key=len)
    clean = replace(
        mail,
        subject=_without(mail.subject),
        text=_without(mail.text),
        reply=_without(mail.reply),
        quoted=_without(mail.quoted),
    )
    kept = replace(
        event,
        mail=clean,
        text=clean.text,
        place=replace(event.place, channel_name=clean.subject[:200]),
        raw=blotted(event.raw, _in_bytes, words, LIMITS),
    )
    return kept, kinds


def _unread(event: MailReceived) -> tuple[MailReceived, tuple[str, ...]]:
    """What could not be read, or says more than is shown, is looked through as it is."""
    raw = blotted(event.raw, _in_bytes, (), LIMITS)
    return (event, ()) if raw == event.raw else (replace(event, raw=raw), ("unread",))


def _without(text: str) -> str:
    pieces, place = [], 0
    for one in _meant(text):
        pieces += [text[place : one.start], REMOVED]
        place = one.end
    return "".join([*pieces, text[place:]])


def _meant(text: str) -> list[Shape]:
    """Those that a person would call a secret."""
    return [one for one in shapes_in(text) if not _is_of_address(text, one)]


def _is_of_address(text: str, one: Shape) -> bool:
    before = text[max(0, one.start - ADDRESS_CHARS) : one.start]
    return one.kind in OF_ADDRESSES and _IN_ADDRESS.search(before) is not None


def _in_bytes(data: bytes) -> list[tuple[int, int]]:
    """Latin-1 has one character for each byte."""
    return [(one.start, one.end) for one in _meant(data.decode("latin-1"))] if shapes_in(data) else []
