"""Markdown to a mail's exact bytes: text and HTML, threading headers as they must stand on the wire.

The headers are written by hand: the standard library RFC 2047-encodes long Message-IDs (Proton's have about 110
characters), which breaks the thread in every mail client. The bytes are frozen before the first try and never made anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Final

import nh3
from markdown_it import MarkdownIt

from adapters.contract import Outbound, Place
from adapters.errors import Misconfigured, Refused, TooLong
from adapters.proton_mail.parse_charset import clean_text, one_line
from adapters.proton_mail.settings import ProtonMailSettings

MAX_BYTES: Final = 25 * 1024 * 1024  # Bridge says so in no EHLO, and refuses with 554
MAX_RECIPIENTS: Final = 100
MAX_TEXT_RUNES: Final = 200_000
MAX_SUBJECT_CHARS: Final = 250
MAX_REFERENCES: Final = 30
INTERNAL_DOMAIN: Final = "protonmail.internalid"
_KEY = re.compile(r"[!-~]{1,100}")
_ADDRESS = re.compile(r"[!#-'*+/-9=?A-Z^-~.-]{1,64}@[A-Za-z0-9.-]{1,190}")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{3,900}>")
_POLICY = SMTP.clone(max_line_length=998)
_TAGS: Final = nh3.ALLOWED_TAGS - {"img", "map", "area", "details", "summary"}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent, before it is frozen. text: Markdown. in_reply_to, references: Message-IDs with their brackets.

    parent_internal_id: Proton's id of the mail that is answered; Bridge builds the thread from it.
    """

    to: Sequence[str]
    subject: str
    text: str
    cc: Sequence[str] = ()
    in_reply_to: str = ""
    references: Sequence[str] = ()
    parent_internal_id: str = ""


@dataclass(frozen=True, slots=True)
class FrozenMail(Outbound):
    """A mail as it is sent at every try: these bytes, this Message-ID, these recipients (To and Cc)."""

    raw: bytes = b""
    message_id: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()


def freeze(key: str, letter: Letter, settings: ProtonMailSettings, at_ms: int) -> FrozenMail:
    """The bytes of one directive, the same for the same arguments. at_ms: what Date says (unix ms).

    Raises Refused and TooLong for what must not be sent or never would be.
    """
    if not _KEY.fullmatch(key):
        raise Refused("the key is not printable ASCII of at most 100 characters")
    recipients = _recipients([*letter.to, *letter.cc])
    message_id = message_id_of(key, settings.sender)
    raw = rendered(letter, settings, message_id, at_ms)
    if len(raw) > MAX_BYTES:
        raise TooLong(f"{len(raw)} bytes, Bridge takes {MAX_BYTES}")
    place = Place(recipients[0], "direct", letter.in_reply_to)
    return FrozenMail(key, place, letter.text, at_ms, {}, raw, message_id, settings.sender, recipients)


def message_id_of(key: str, sender: str) -> str:
    """From the directive's key: known before the first try, and found again in Sent."""
    digest = hashlib.sha256(f"fleetprompt|{sender}|{key}".encode()).hexdigest()[:40]
    return f"<{digest}@{sender.rpartition('@')[2]}>"


def letter_of(message: Outbound) -> Letter:
    """A plain outbound message as a letter to the one it is for. metadata: subject, references, internal_id."""
    told = message.metadata
    references = told.get("references", "").split() or (
        [message.place.thread_id] if message.place.thread_id else []
    )
    return Letter(
        to=[message.place.channel_id],
        subject=told.get("subject") or message.place.channel_name or "Re: your message",
        text=message.text,
        in_reply_to=told.get("in_reply_to", "") or message.place.thread_id,
        references=references,
        parent_internal_id=told.get("internal_id", ""),
    )


def rendered(letter: Letter, settings: ProtonMailSettings, message_id: str, at_ms: int) -> bytes:
    """The whole mail. Raises Refused and TooLong."""
    text = clean_text(letter.text).strip()
    if not text:
        raise Refused("an empty message is not sent")
    if len(text) > MAX_TEXT_RUNES:
        raise TooLong(f"{len(text)} runes, at most {MAX_TEXT_RUNES} are sent")
    headers = [
        ("From", _sender(settings)),
        ("To", _address_list(_recipients(letter.to))),
        *([("Cc", _address_list(_recipients(letter.cc)))] if letter.cc else []),
        ("Subject", _encoded(one_line(letter.subject)[:MAX_SUBJECT_CHARS], "Subject")),
        ("Date", formatdate(at_ms / 1000)),
        ("Message-ID", message_id),
        *_threading(letter),
        ("MIME-Version", "1.0"),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return lines.encode("ascii") + _body(text, message_id)


def html_of(text: str) -> str:
    """Markdown as harmless HTML: no raw HTML, no pictures, links to the web and to mail alone."""
    made = _MARKDOWN.render(text)
    return nh3.clean(
        made, tags=set(_TAGS), url_schemes={"http", "https", "mailto"}, link_rel="noopener noreferrer"
    )


def _threading(letter: Letter) -> list[tuple[str, str]]:
    """In-Reply-To and References, unencoded, one id a line."""
    references = [one for one in letter.references if one != letter.in_reply_to]
    known = [_checked_id(one) for one in [*references, *([letter.in_reply_to] if letter.in_reply_to else [])]]
    known = list(dict.fromkeys(known))
    if len(known) > MAX_REFERENCES:
        known = [known[0], *known[1 - MAX_REFERENCES :]]
    if letter.parent_internal_id:
        known.append(_checked_id(f"<{letter.parent_internal_id}@{INTERNAL_DOMAIN}>"))
    headers = [("In-Reply-To", _checked_id(letter.in_reply_to))] if letter.in_reply_to else []
    return [*headers, *([("References", "\r\n ".join(known))] if known else [])]


def _checked_id(message_id: str) -> str:
    if not _MESSAGE_ID.fullmatch(message_id):
        raise Refused("an id of the thread cannot stand in a header")
    return message_id


def _recipients(addresses: Iterable[str]) -> tuple[str, ...]:
    """Each once, in one spelling: Bridge makes a Bcc of a To that differs from RCPT in letter case."""
    found = tuple(dict.fromkeys(address.strip() for address in addresses))
    if not found or len(found) > MAX_RECIPIENTS:
        raise Refused(f"{len(found)} recipients; between 1 and {MAX_RECIPIENTS} are possible")
    if not all(_ADDRESS.fullmatch(address) for address in found):
        raise Refused("a recipient's address cannot be written to")
    return found


def _address_list(addresses: Sequence[str]) -> str:
    return ",\r\n ".join(addresses)


def _sender(settings: ProtonMailSettings) -> str:
    if not _ADDRESS.fullmatch(settings.sender):
        raise Misconfigured(
            "from_address is no mail address", advice="Set it to one of the account's addresses."
        )
    name = one_line(settings.from_name)[:100]
    if not name:
        return settings.sender
    if name.isascii():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{settings.sender}>'
    return f"{_encoded(name, 'From')}\r\n <{settings.sender}>"


def _encoded(text: str, name: str) -> str:
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")


def _body(text: str, message_id: str) -> bytes:
    """Its own headers, an empty line, both versions."""
    message = EmailMessage(policy=_POLICY)
    message.set_content(text + "\n", cte="quoted-printable")
    message.add_alternative(html_of(text), subtype="html", cte="quoted-printable")
    message.set_boundary("=_" + hashlib.sha256(message_id.encode()).hexdigest()[:40])
    del message["MIME-Version"]
    return message.as_bytes(policy=_POLICY)
