"""Mails as customers' programs write them: a text, the same as HTML, and the history of the thread below both; or a text."""

from __future__ import annotations

import itertools
import random
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import Final

_NUMBERS: Final = itertools.count(1)
_WORDS: Final = [
    "the",
    "order",
    "has",
    "not",
    "arrived",
    "yet",
    "although",
    "it",
    "was",
    "said",
    "to",
    "be",
    "here",
    "by",
    "now",
    "could",
    "you",
    "please",
    "look",
    "at",
    "what",
    "became",
    "of",
    "it",
    "we",
    "are",
    "waiting",
    "for",
    "two",
    "weeks",
    "and",
    "nobody",
    "answers",
    "the",
    "telephone",
    "thank",
    "you",
    "very",
    "much",
    "kind",
    "regards",
    "grüße",
]
_STYLE: Final = "margin:0 0 12px 0;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px"
_PARAGRAPHS: Final = 38
_NEW: Final = 4  # of them; the rest is history
_SAID: Final = "On Fri, 20 Nov 2026, Fleet <fleet@acme.example> wrote:"


def letter(chance: random.Random, body_bytes: int = 20_000) -> bytes:
    """About 20 KB, another one each time. body_bytes: beyond that size an attachment is added that fills it up."""
    paragraphs = [_paragraph(chance) for _ in range(_PARAGRAPHS)]
    mail = _headed(chance)
    mail.set_content(_plain(paragraphs), cte="quoted-printable")
    mail.add_alternative(_html(paragraphs), subtype="html", cte="quoted-printable")
    if body_bytes > 2 * len(bytes(mail)):
        content = chance.randbytes((body_bytes - len(bytes(mail))) * 3 // 4)
        mail.add_attachment(content, maintype="application", subtype="zip", filename="photos.zip")
    return bytes(mail)


def note(chance: random.Random) -> bytes:
    """About 20 KB of text alone, all of it new."""
    mail = _headed(chance)
    mail.set_content("\n\n".join(_paragraph(chance) for _ in range(5 * _PARAGRAPHS // 2)), cte="8bit")
    return bytes(mail)


def _headed(chance: random.Random) -> EmailMessage:
    number = next(_NUMBERS)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Customer {number % 500} <customer{number % 500}@customer.example>"
    mail["To"] = "fleet@acme.example"
    mail["Subject"] = f"Order {number}: where is it?"
    mail["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    mail["Message-ID"] = f"<bench-{number}-{chance.getrandbits(64):x}@customer.example>"
    return mail


def _paragraph(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=36)).capitalize() + "."


def _plain(paragraphs: list[str]) -> str:
    history = "\n>\n".join(f"> {one}" for one in paragraphs[_NEW:])
    return "\n\n".join(paragraphs[:_NEW]) + f"\n\n{_SAID}\n{history}\n"


def _html(paragraphs: list[str]) -> str:
    """As Gmail writes it: who wrote the history stands above it, as in the text."""
    new, history = (
        "".join(f'<p style="{_STYLE}">{one}</p>\n' for one in part)
        for part in (paragraphs[:_NEW], paragraphs[_NEW:])
    )
    said = f'<div dir="ltr" class="gmail_attr">{escape(_SAID)}<br></div>'
    quoted = (
        f'<div class="gmail_quote">{said}<blockquote style="margin:0 0 0 8px">{history}</blockquote></div>'
    )
    return (
        f"<html><head><style>p {{ color: #222; }}</style></head><body><div>{new}</div>{quoted}</body></html>"
    )
