"""Bounces: reports (RFC 3464), and those that say it in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.message import Message
from typing import Final

from adapters.proton_mail.mail import Address, Bounce
from adapters.proton_mail.parse_charset import one_line
from adapters.proton_mail.parse_headers import message_ids, plain_addresses, value, values
from adapters.proton_mail.parse_structure import Part

READ_CHARS: Final = 64 * 1024
MAX_RECIPIENTS: Final = 100
_RETURNED: Final = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global")
_DAEMON = re.compile(
    r"(?:mailer-?daemon|postmaster|mail-?delivery.*|mdaemon|microsoftexchange[0-9a-f]{32})(?:[+._=-].*)?"
)
_SUBJECT = re.compile(
    r"undeliver|delivery (?:status )?(?:notification|failure|failed|delayed)|returned mail|failure notice|"
    r"mail delivery|delivery has failed|could not be delivered|not delivered|unzustellbar|non remis|no se pudo entregar",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_CODE = re.compile(r"(?<![\d.])([45])\d\d[ -]")
_FIELD = re.compile(
    r"^(final-recipient|original-recipient|action|status):[ \t]*([^\r\n]{0,500})", re.I | re.M
)
_ID = re.compile(r"^[ \t>]*message-id:\s{0,4}(<[^<>\s]{1,900}>)", re.IGNORECASE | re.MULTILINE)
_LATE = re.compile(r"delayed|will (?:keep|continue|be) (?:trying|retr)|not yet been delivered", re.IGNORECASE)


def bounce_of(
    root: Part, senders: tuple[Address, ...], text: str, content: Callable[[Part], str]
) -> Bounce | None:
    """The bounce that a mail is, or None. content: a part's text. A receipt of reading or arrival is none."""
    is_daemon = any(_DAEMON.fullmatch(one.address.partition("@")[0]) for one in senders)
    from_mailer = is_daemon or _has_null_path(root.headers)
    if root.type == "multipart/report":
        return _report(root, content, from_mailer=from_mailer)
    if not _SUBJECT.search(value(root.headers, "Subject")):
        return None
    if is_daemon or (_has_null_path(root.headers) and _tells_of_failure(root, text[:READ_CHARS])):
        return _plain(root, senders, text[:READ_CHARS], content)
    return None


def _has_null_path(headers: Message) -> bool:
    return any(one.strip() in ("<>", "") for one in values(headers, "Return-Path"))


def _tells_of_failure(root: Part, text: str) -> bool:
    """Absence notices have no return path either, and the subject of what they answer: "My parcel was not delivered"."""
    return bool(_STATUS.search(text)) or any(part.type in _RETURNED for part in root.walk())


def _report(root: Part, content: Callable[[Part], str], *, from_mailer: bool) -> Bounce | None:
    status = next((part for part in root.walk() if part.type == "message/delivery-status"), None)
    if status is None:
        return None
    fields = [(name.lower(), told.strip()) for name, told in _FIELD.findall(content(status)[:READ_CHARS])]
    actions = {told.lower() for name, told in fields if name == "action"}
    if not actions & {"failed", "delayed"}:
        return None
    return Bounce(
        form="report",
        is_permanent="failed" in actions,
        recipients=_recipients([told for name, told in fields if name.endswith("recipient")]),
        message_ids=_returned_ids(root, content),
        status=next((one_line(told)[:20] for name, told in fields if name == "status"), ""),
        from_mailer=from_mailer,
    )


def _plain(root: Part, senders: tuple[Address, ...], text: str, content: Callable[[Part], str]) -> Bounce:
    status, code = _STATUS.search(text), _CODE.search(text)
    first = status[1][0] if status else code[1] if code else "5"
    is_late = first == "4" or bool(_LATE.search(text) and not status and not code)
    daemons = {one.address for one in senders}
    named = [one for one in plain_addresses(text) if one not in daemons]
    ids = dict.fromkeys([*_returned_ids(root, content), *_ID.findall(text)])
    not_ids = [one for one in named if f"<{one}>" not in {found.lower() for found in ids}]
    return Bounce("text", not is_late, _recipients(not_ids), tuple(ids), status[1] if status else "", True)


def _recipients(found: list[str]) -> tuple[str, ...]:
    """Of `rfc822; dana@example.org` and the like."""
    read = [one for told in found for one in plain_addresses(told)]
    return tuple(dict.fromkeys(one_line(one) for one in read))[:MAX_RECIPIENTS]


def _returned_ids(root: Part, content: Callable[[Part], str]) -> tuple[str, ...]:
    """Message-IDs of the returned mail, or of its headers alone; then what the report refers to."""
    found: dict[str, None] = {}
    for part in root.walk():
        if part.type in _RETURNED:
            found.update(dict.fromkeys(_ID.findall(content(part)[:READ_CHARS])))
    for name in ("In-Reply-To", "References"):
        found.update(dict.fromkeys(message_ids(root.headers, name)))
    return tuple(one_line(one) for one in found)[:50]
