"""Bytes to `Mail`. Runs in a process of its own (see `parser`), where it may be slow, hungry or die."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from adapters.proton_mail import parse_headers as headers_of
from adapters.proton_mail.mail import Mail, Quarantine
from adapters.proton_mail.parse_body import BodyReader
from adapters.proton_mail.parse_bounce import bounce_of
from adapters.proton_mail.parse_limits import TooMuch
from adapters.proton_mail.parse_structure import Part, split
from adapters.proton_mail.parse_trust import never_answer, sender_trust
from adapters.proton_mail.settings import MailLimits


def parse(raw: bytes, own: Sequence[str], limits: MailLimits) -> Mail | Quarantine:
    """One mail. own: the account's addresses, in lower case. Never raises for what a mail contains."""
    if not raw[:4096].strip() and not raw.strip():  # no copy of a long one
        return Quarantine("empty", "It has no content.")
    if len(raw) > limits.mail_bytes:
        return Quarantine("too_long", "It is longer than mails are read.")
    try:
        return _parsed(raw, own, limits)
    except TooMuch as error:
        return Quarantine(error.reason, f"It cannot be read: {error.detail}.")
    except MemoryError:
        return Quarantine("too_much_memory", "Reading it takes more memory than it may.")
    except Exception as error:  # noqa: BLE001 - whatever it is, the mail is set aside visibly and the next one is read
        return Quarantine("unreadable", f"It cannot be read ({type(error).__name__}).")


def _parsed(raw: bytes, own: Sequence[str], limits: MailLimits) -> Mail:
    root = split(raw, limits)
    reader = BodyReader(raw, root, limits)
    body = reader.read()
    headers = root.headers
    senders = headers_of.addresses(headers, "From")
    reply_to = headers_of.addresses(headers, "Reply-To")
    bounce = bounce_of(root, senders, body.text, reader.content)
    return Mail(
        message_id=headers_of.message_id(headers),
        internal_id=headers_of.internal_id(headers),
        in_reply_to=headers_of.message_ids(headers, "In-Reply-To"),
        references=headers_of.message_ids(headers, "References"),
        subject=headers_of.value(headers, "Subject")[:1000],
        sent_at_ms=headers_of.date_ms(headers),
        senders=senders,
        reply_to=reply_to,
        to=headers_of.addresses(headers, "To"),
        cc=headers_of.addresses(headers, "Cc"),
        delivered_to=_delivered_to(root),
        text=body.text,
        reply=body.reply,
        quoted=body.quoted,
        attachments=body.attachments,
        never_answer=never_answer(headers, root.type, senders, own, bounce),
        trust=sender_trust(headers, senders, reply_to),
        bounce=bounce,
        body_sha256=hashlib.sha256(memoryview(raw)[root.start :]).hexdigest(),
        undecrypted=body.undecrypted,
        notes=tuple(dict.fromkeys(body.notes)),
    )


def _delivered_to(root: Part) -> tuple[str, ...]:
    names = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Pm-Recipient")
    found = [address for name in names for address in headers_of.addresses(root.headers, name)]
    return tuple(one.address for one in headers_of.unique(found))[:20]
