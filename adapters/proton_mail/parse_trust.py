"""What is known of a sender, and why a machine must not answer. Data; somebody else decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.message import Message
from typing import Final

from adapters.proton_mail.mail import Address, Bounce, SenderTrust
from adapters.proton_mail.parse_headers import plain_addresses, value, values

AUTHORITY: Final = "mail.protonmail.ch"
MAX_RESULTS: Final = 20  # headers; Proton's own stand above those that came with the mail
_RESULT = re.compile(r"\s*(spf|dkim|dmarc)\s*=\s*([a-z]+)", re.IGNORECASE)
_MARKS = re.compile(r'\\.|["()]|[^"()\\]+|\\')
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
    """As Proton asserts it: local checks of DKIM are of no use, since Bridge encodes the text anew.

    Proton writes a header of its own for each method, and one more for each further signature.
    """
    told = [one for one in values(headers, "Authentication-Results") if _is_authority(one)]
    asserted: dict[str, list[str]] = {}
    for text in told[:MAX_RESULTS]:
        for method, result in _results(text):
            asserted.setdefault(method, []).append(result)
    first = {method: results[0] for method, results in asserted.items()}
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
    """The results of one header. A sender chooses what stands in comments, in quotes and as a property: none of it counts."""
    for one in _bare(text).split(";")[1:]:
        found = _RESULT.match(one)
        if found is not None:
            yield found[1].lower(), found[2].lower()


def _bare(text: str) -> str:
    """Without comments, which nest, and without what is quoted."""
    kept, depth, is_quoted = [], 0, False
    for mark in _MARKS.findall(text):
        if mark == '"' and not depth:  # in a comment a quote is a character like others
            is_quoted = not is_quoted
        elif mark in "()" and not is_quoted:
            depth = max(0, depth + (1 if mark == "(" else -1))
        elif not depth and not is_quoted:
            kept.append(mark)
    return "".join(kept)


def _verdict(asserted: dict[str, list[str]]) -> str:
    """DKIM may be asserted of several signatures; of the others there is one result."""
    if any(len(set(asserted.get(method, ()))) > 1 for method in ("spf", "dmarc")):
        return "conflicting"
    result = asserted.get("dmarc", [""])[0]
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
    submitted = {
        re.split("[; (]", one.strip(), maxsplit=1)[0].lower() for one in values(headers, "Auto-Submitted")
    }
    return_paths = [one.strip() for one in values(headers, "Return-Path")]
    precedence = {one.strip().lower() for one in values(headers, "Precedence")}
    found = {
        "auto_submitted": not submitted <= {"", "no"},
        "precedence": bool(precedence & _BULK),
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
