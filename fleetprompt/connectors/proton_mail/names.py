"""By what a mail refers to a conversation, as `mail_names` keeps it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from adapters.proton_mail import Mail

INTERNAL_DOMAIN: Final = "@protonmail.internalid"
TOKEN_BYTES: Final = 10  # 80 random bits: nobody guesses one, and who was shown one takes part
MAX_CHARS: Final = 400  # an index takes no longer ones
_IN_SUBJECT = re.compile(r"\[#([a-z2-7]{16})\]")
_PLUS = re.compile(r"[^@+]+\+([a-z2-7]{16})@[^@]+")


def fit(text: str) -> str:
    """As it is, or cut with its digest: the same for the same text."""
    if len(text) <= MAX_CHARS:
        return text
    return f"{text[: MAX_CHARS - 80]}#{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def of_message(message_id: str) -> str:
    """A mail by its Message-ID."""
    return f"id:{fit(message_id)}"


def of_internal(internal_id: str) -> str:
    """A mail by Proton's id."""
    return f"internal:{fit(internal_id)}"


def of_token(token: str) -> str:
    """A conversation by our token."""
    return f"token:{token}"


def new_token() -> str:
    """16 characters that nobody guesses."""
    return base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().lower()


def own_names(mail: Mail) -> list[str]:
    """What later mails will call this one."""
    names = [of_message(mail.message_id)] if mail.message_id else []
    return [*names, of_internal(mail.internal_id)] if mail.internal_id else names


def referred(mail: Mail) -> list[str]:
    """The mails that this one follows: the nearest first."""
    ids = [*mail.in_reply_to, *reversed(mail.references)]
    return list(dict.fromkeys(of_message(one) for one in ids if not one.endswith(f"{INTERNAL_DOMAIN}>")))


def referred_internally(mail: Mail) -> list[str]:
    """The same by Proton's ids."""
    ids = [*mail.in_reply_to, *reversed(mail.references)]
    return list(dict.fromkeys(of_internal(one) for one in map(_internal, ids) if one))


def tokens(mail: Mail) -> list[str]:
    """Ours in the subject, then in an address that the mail came to."""
    addresses = (*(one.address for one in (*mail.to, *mail.cc)), *mail.delivered_to)
    found = [*_IN_SUBJECT.findall(mail.subject), *_plussed(addresses)]
    return list(dict.fromkeys(of_token(one) for one in found))


def with_token(subject: str, token: str) -> str:
    """The subject as it is sent; an older token goes."""
    return f"{_IN_SUBJECT.sub('', subject).strip()} [#{token}]"


def without_token(subject: str) -> str:
    """As a person wrote it."""
    return _IN_SUBJECT.sub("", subject).strip()


def _internal(message_id: str) -> str:
    return message_id.strip("<>").removesuffix(INTERNAL_DOMAIN) if INTERNAL_DOMAIN in message_id else ""


def _plussed(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        found = _PLUS.fullmatch(address.lower())
        if found is not None:
            yield found[1]
