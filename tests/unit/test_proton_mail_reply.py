"""What is new in a mail is found near the first sign of history, however long the mail is."""

from __future__ import annotations

import pytest

from adapters.proton_mail.parse_reply import split_reply

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
