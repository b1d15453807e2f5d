"""What is known of a sender, and why a machine must not answer. Data; somebody else decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.message import Message
from typing import Final

from adapters.proton_mail.mail import Address, Bounce, SenderTrust
from adapters.proton_mail.parse_headers import plain_addresses, value, values

AUTHORITY: Final = "mail.protonmail.ch"
_RESULT = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)", re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")
_NO_REPLY = re.compile(
    r"(?:mailer-?daemon|postmaster|no-?_?\.?reply|do-?_?not-?_?reply|bounces?|notifications?|auto-?(?:reply|responder))"
    r"(?:[+._=-].*)?"
)
_BULK: Final = {"bulk", "list", "junk", "auto_reply"}
_LIST_HEADERS: Final = (
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Help",
    "Mailing-List",
    "X-Mailing-List",
)
_RESPONDERS: Final = ("X-Autoreply", "X-Autorespond", "X-Autoresponder")


def sender_trust(
    headers: Message, senders: tuple[Address, ...], reply_to: tuple[Address, ...]
) -> SenderTrust:
    """As Proton asserts it: local checks of DKIM are of no use, since Bridge encodes the text anew."""
    asserted = [
        dict(_results(one)) for one in values(headers, "Authentication-Results") if _is_authority(one)
    ]
    first = asserted[0] if asserted else {}
    sender = senders[0] if senders else Address("")
    from_headers = len(headers.get_all("From", []))
    is_one = from_headers == 1 and len(senders) == 1
    return SenderTrust(
        verdict=_verdict(asserted) if is_one else "unverified",
        spf=first.get("spf", ""),
        dkim=first.get("dkim", ""),
        dmarc=first.get("dmarc", ""),
        from_headers=from_headers,
        imitates=_imitated(sender),
        reply_elsewhere=any(_domain(one.address) != _domain(sender.address) for one in reply_to),
    )


def _is_authority(text: str) -> bool:
    return text.split(";")[0].split(" ")[0].strip().lower() == AUTHORITY


def _results(text: str) -> Iterator[tuple[str, str]]:
    """The first result of each method; comments say nothing."""
    told: set[str] = set()
    for method, result in _RESULT.findall(_COMMENT.sub("", text)):
        if method.lower() not in told:
            told.add(method.lower())
            yield method.lower(), result.lower()


def _verdict(asserted: list[dict[str, str]]) -> str:
    if not asserted:
        return "unverified"
    if any(one != asserted[0] for one in asserted):
        return "conflicting"
    result = asserted[0].get("dmarc", "")
    return {"pass": "pass", "fail": "fail"}.get(result, "unverified")


def _imitated(sender: Address) -> str:
    """An address in the display name that is another one."""
    named = plain_addresses(sender.name.replace("\uff20", "@").replace("(at)", "@"))
    return next((one for one in named if one != sender.address), "")


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def never_answer(
    headers: Message,
    content_type: str,
    senders: tuple[Address, ...],
    own: Iterable[str],
    bounce: Bounce | None,
) -> tuple[str, ...]:
    """Why no machine may answer, in words; () when it may."""
    submitted = value(headers, "Auto-Submitted").split(";")[0].split(" ")[0].strip().lower()
    return_paths = [one.strip() for one in values(headers, "Return-Path")]
    precedence = value(headers, "Precedence").strip().lower()
    found = {
        "auto_submitted": submitted not in ("", "no"),
        "precedence": precedence in _BULK,
        "list": any(name in headers for name in _LIST_HEADERS),
        "auto_response_suppress": bool(value(headers, "X-Auto-Response-Suppress").strip()),
        "auto_responder": any(name in headers for name in _RESPONDERS),
        "null_return_path": any(one in ("<>", "") for one in return_paths),
        "report": content_type == "multipart/report",
        "no_reply_sender": any(_NO_REPLY.fullmatch(one.address.partition("@")[0]) for one in senders),
        "own_address": bool({one.address for one in senders} & set(own)),
        "bounce": bounce is not None,
        "no_sender": not senders,
    }
    return tuple(reason for reason, holds in found.items() if holds)
