"""Who gets an answer: decided by the mail that is answered and by the installation's settings, never by a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_RECIPIENTS: Final = 100  # Proton takes no more; of a longer list the first ones are written to
MAX_REPLY_TO: Final = 10  # else one mail from a stranger would have us write to a whole domain


@dataclass(frozen=True, slots=True)
class Recipients:
    """Addresses, in lower case."""

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()


def recipients_of(mail: Mapping[str, Any], policy: str, own: Collection[str]) -> Recipients:
    """mail: the payload of the one that is answered. policy: `sender` or `all`; we are never among them.

    Reply-To counts only inside the sender's own domain: elsewhere it could lead an answer to somebody who never wrote.
    """
    sender = mail["author"]["id"]
    to = _reply_to(mail, sender) or ([sender] if sender else [])
    to = [one for one in dict.fromkeys(to) if one not in own]
    if policy != "all":
        return Recipients(tuple(to))
    others = [one["address"] for one in (*mail.get("to", ()), *mail.get("cc", ()))]
    cc = [one for one in dict.fromkeys(others) if one not in own and one not in to]
    return Recipients(tuple(to), tuple(cc[: MAX_RECIPIENTS - len(to)]))


def allowed(mail: Mapping[str, Any], own: Collection[str]) -> frozenset[str]:
    """Everybody who could be written to in answer to this mail."""
    every = recipients_of(mail, "all", own)
    return frozenset((*every.to, *every.cc, mail["author"]["id"])) - frozenset(own)


def _reply_to(mail: Mapping[str, Any], sender: str) -> list[str]:
    domain = sender.rpartition("@")[2]
    wished = [one["address"] for one in mail.get("reply_to", ())]
    return [one for one in wished if domain and one.rpartition("@")[2] == domain][:MAX_REPLY_TO]
