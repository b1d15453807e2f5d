"""What Bridge makes of a mail that it is given to send.

Only Subject, From, To, Cc, one body, attachments, Message-ID and the parent survive. The threading headers are rebuilt
from one parent, which is named by `<internal id@protonmail.internalid>` in References, or by its Message-ID.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from email.generator import BytesGenerator
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import formatdate, getaddresses
from io import BytesIO

from fleetprompt.sandbox.mailbox.records import StoredMail

INTERNAL_ID = "X-Pm-Internal-Id"
INTERNAL_DOMAIN = "@protonmail.internalid"
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_KEPT = ("Subject", "From", "Message-ID", "MIME-Version")
_BODY_HEADERS = ("Content-Type", "Content-Transfer-Encoding", "Content-Disposition")


def headers(raw: bytes) -> Message:
    """A mail's headers, undecoded."""
    return BytesParser(policy=compat32).parsebytes(raw, headersonly=True)


def header(raw: bytes, name: str) -> str:
    """One header, unfolded; "" without it."""
    return re.sub(r"\r?\n[ \t]+", " ", str(headers(raw).get(name, ""))).strip()


def rewritten(raw: bytes, recipients: Sequence[str], known: Iterable[StoredMail], now_s: float) -> bytes:
    """What goes out."""
    came = BytesParser(policy=compat32).parsebytes(raw)
    out = Message(policy=compat32)
    for name in _KEPT:
        if name in came:
            out[name] = came[name]
    for name in ("To", "Cc"):
        kept = [address for address in _addresses(came, name) if address in recipients]
        if kept:  # one whose letter case differs from RCPT has become Bcc
            out[name] = ", ".join(kept)
    out["Date"] = formatdate(now_s)
    parent = _parent(came, known)
    if parent is not None:
        parent_id = header(parent.raw, "Message-ID")
        out["In-Reply-To"] = parent_id
        out["References"] = " ".join([*_MESSAGE_ID.findall(header(parent.raw, "References")), parent_id])
    body = _one_body(came)
    for name in _BODY_HEADERS:
        if name in body:
            out[name] = body[name]
    out.set_payload(body.get_payload())
    return _as_bytes(out)


def duplicate_key(raw: bytes, recipients: Sequence[str]) -> str:
    """Same subject, addresses, thread and parts. Message-ID and References do not count, In-Reply-To and Reply-To do."""
    came = BytesParser(policy=compat32).parsebytes(raw)
    counted = [str(came.get(name, "")) for name in ("Subject", "From", "To", "Cc", "In-Reply-To", "Reply-To")]
    parts = [repr(part.get_payload(decode=True)) for part in came.walk() if not part.is_multipart()]
    return hashlib.sha256(
        "\0".join([*counted, *sorted(recipients), *parts]).encode("utf-8", "replace")
    ).hexdigest()


def _addresses(message: Message, name: str) -> list[str]:
    return [address for _, address in getaddresses([str(value) for value in message.get_all(name, [])])]


def _parent(came: Message, known: Iterable[StoredMail]) -> StoredMail | None:
    named = _MESSAGE_ID.findall(f"{came.get('In-Reply-To', '')} {came.get('References', '')}")
    kept = list(known)
    by_name = {f"<{header(mail.raw, INTERNAL_ID)}{INTERNAL_DOMAIN}>": mail for mail in kept}
    by_name |= {header(mail.raw, "Message-ID"): mail for mail in kept}
    return next((by_name[name] for name in reversed(named) if name in by_name), None)


def _one_body(came: Message) -> Message:
    """multipart/alternative is collapsed to its last part, the richest; attachments stay."""
    if came.get_content_type() == "multipart/alternative" and came.is_multipart():
        parts = came.get_payload()
        assert isinstance(parts, list)
        last = parts[-1]
        assert isinstance(last, Message)
        return last
    return came


def _as_bytes(message: Message) -> bytes:
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=compat32.clone(linesep="\r\n", max_line_length=0)).flatten(
        message
    )
    return out.getvalue()
