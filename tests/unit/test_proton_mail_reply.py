"""What is new in a mail is found near the first sign of history, however long the mail is."""

from __future__ import annotations

import random

import pytest
from mailparser_reply import EmailReplyParser  # type: ignore[import-untyped]

from adapters.proton_mail.parse_reply import LANGUAGES, latest, split_reply

PARAGRAPH = "The order has not arrived yet, although it was said to be here by now. Could you look at it? "
HEADERS = (
    "On Fri, 20 Nov 2026, Fleet <fleet@acme.example> wrote:",
    "Am 20.11.2026 um 10:00 schrieb Fleet <fleet@acme.example>:",
    "From: Fleet <fleet@acme.example>\nSent: Friday, 20 November 2026\nTo: Dana\nSubject: Re: hi",
)
HISTORY = "\n".join(f"> {PARAGRAPH}" for _ in range(40))


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("paragraphs", [1, 10, 100])
def test_all_before_the_history_is_new(header: str, paragraphs: int) -> None:
    new = "\n\n".join([PARAGRAPH.strip()] * paragraphs)
    reply, quoted = split_reply(f"{new}\n\n{header}\n{HISTORY}")
    assert reply == new
    assert quoted.startswith(header)


def test_what_only_looks_like_a_sign_cuts_nothing_off() -> None:
    new = "\n".join(["From what I see: nothing came.", *[PARAGRAPH.strip()] * 12])
    reply, quoted = split_reply(f"{new}\n\n{HEADERS[0]}\n{HISTORY}")
    assert reply == new
    assert quoted.startswith(HEADERS[0])


PIECES = (
    *HEADERS,
    "On Fri,\nFleet wrote:",
    "On On x wrote:",
    "> On x y wrote:",
    "Le 20 nov. 2026 \u00e0 10:00, X a \u00e9crit :",
    "Dnia x napisa\u0142(a):",
    "----- Original Message -----",
    "De : a\nEnvoy\u00e9 : b",
    "From: x\n\n  To: y\n\n",
    "Data: x",
    "_" * 40,
    "x\n\n" + "_-" * 20 + "\nFrom: a\nDate: b",
    "--\nDana",
    "Best regards,\nDana",
    "Sent from my telephone",
    "> quoted\n> more",
    "  \u00a0 From: a  \r\n\tTo: b",
    "x\x85From: y\x0bTo: z",
    "\u017fent: b\nfrom: a",
    PARAGRAPH,
    "",
)


@pytest.mark.parametrize("seed", range(20))
def test_the_latest_message_is_the_one_that_the_library_gives(seed: int) -> None:
    chance = random.Random(seed)
    library = EmailReplyParser(languages=list(LANGUAGES))
    for _ in range(30):
        pieces = chance.choices(PIECES, k=chance.randint(1, 7))
        text = chance.choice(("\n", "\r\n", "\n\n", "\n> ", "\n  ")).join(pieces)
        assert latest(text) == str(library.parse_reply(text) or "").strip()
