"""Secrets in mails made to be expensive: beyond what a mail may cost, texts go whole and nothing is left unsearched."""

from __future__ import annotations

import pytest

from adapters.proton_mail.blot import MOST_WORDS, PIECE_BYTES
from adapters.proton_mail.normalise import Fetched, received
from adapters.proton_mail.parse import parse
from adapters.proton_mail.settings import MailLimits
from fleetprompt.connectors.proton_mail.pasted import LIMITS, without_secrets
from tests.unit.test_mail_blot import OWN, PLAIN, QP, SETTINGS, TOKEN, came, mail

LINE = b"Where is my order, please? I wait for it.\r\n"


@pytest.mark.parametrize("before", [-20, 0, 5, len(TOKEN) - 1], ids=str)
@pytest.mark.parametrize("headers", [[PLAIN], [PLAIN, QP]], ids=["8bit", "quoted"])
def test_a_secret_where_two_pieces_meet_is_gone_and_no_other_byte(before: int, headers: list[str]) -> None:
    lead = (LINE * (PIECE_BYTES // len(LINE) + 1))[: PIECE_BYTES - before - 1] + b" "
    raw = mail(b"token " + TOKEN.encode() + b"\r\n" + lead + TOKEN.encode() + b" and more\r\n", *headers)
    clean, kinds = without_secrets(came(raw))
    assert kinds == ("github_token",)
    assert clean.raw == raw.replace(TOKEN.encode(), b"*" * len(TOKEN))


def test_texts_beyond_what_a_mail_may_cost_go_whole_once_it_has_a_secret() -> None:
    text = b"token " + TOKEN.encode() + b"\r\n" + LINE * (LIMITS.html_bytes // len(LINE) - 10)
    second = b"\r\n--b\r\n" + PLAIN.encode() + b"\r\n\r\n" + LINE * 100
    raw = mail(text + second, PLAIN)
    clean, _ = without_secrets(came(raw))
    assert clean.raw.count(LINE) == text.count(LINE)
    assert TOKEN.encode() not in clean.raw
    assert len(clean.raw) == len(raw)


def test_a_long_text_that_is_not_shown_is_searched_as_it_is_written() -> None:
    body = LINE * (LIMITS.html_bytes // len(LINE) + 10) + b"token " + TOKEN.encode() + b"\r\n"
    event = came(mail(body, PLAIN))
    assert event.mail is not None
    assert TOKEN not in event.mail.text
    clean, kinds = without_secrets(event)
    assert (kinds, clean.raw) == (("unread",), event.raw.replace(TOKEN.encode(), b"*" * len(TOKEN)))


def test_a_mail_of_nothing_but_secrets_is_not_searched_for_each() -> None:
    secrets = [f"password: hunter{number}x" for number in range(MOST_WORDS + 1)]
    raw = mail("\r\n".join(secrets).encode(), PLAIN)
    clean, kinds = without_secrets(came(raw))
    assert kinds == ("password",)
    assert b"hunter" not in clean.raw
    assert b"password" not in clean.raw
    assert len(clean.raw) == len(raw)


def test_what_could_not_be_read_is_searched_in_pieces() -> None:
    raw = b"Subject: x\r\n\r\n" + LINE * (2 * PIECE_BYTES // len(LINE)) + TOKEN.encode() + b"\r\n"
    limits = MailLimits(mail_bytes=5)
    event = received(Fetched("INBOX", 1, 1, 0, raw, len(raw)), parse(raw, (OWN,), limits), SETTINGS)
    clean, _ = without_secrets(event)
    assert clean.raw == raw.replace(TOKEN.encode(), b"*" * len(TOKEN))
