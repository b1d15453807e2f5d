"""Every odd mail ends as a message or as a quarantine with a reason, in bounded time, and is fit for Postgres."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from adapters.contract import AuthorKind
from adapters.proton_mail import Mail, MailLimits, ProtonMailSettings, Quarantine
from adapters.proton_mail.normalise import Fetched, received
from adapters.proton_mail.parse import parse
from adapters.proton_mail.parser import Parser
from tests.mail_corpus import corpus, nested

OWN = ("fleet@acme.example",)
LIMITS = MailLimits()
SETTINGS = ProtonMailSettings("fleet@acme.example", "x", "")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@pytest.fixture(scope="module")
def mails() -> list[tuple[str, bytes]]:
    return list(corpus())


def test_the_corpus_has_its_size(mails: list[tuple[str, bytes]]) -> None:
    assert len(mails) >= 500


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts_of(one)]
    return [text for one in value for text in texts_of(one)] if isinstance(value, list | tuple) else []


def test_each_ends_as_a_mail_or_visibly_set_aside(mails: list[tuple[str, bytes]]) -> None:
    unexpected = []
    for name, raw in mails:
        found = parse(raw, OWN, LIMITS)
        if isinstance(found, Quarantine):
            assert found.reason
            assert found.detail.endswith(".")
            if found.reason == "unreadable":
                unexpected.append((name, found.detail))
            continue
        told = found.as_json()
        assert Mail.from_json(json.loads(json.dumps(told))) == found, name
        assert not [text for text in texts_of(told) if UNSTORABLE.search(text)], name
        assert found.text == "" or found.reply, name
        for one in found.attachments:
            assert sum(len(piece) for piece in one.content(raw)) == one.size_bytes, name
    assert unexpected == []


def test_each_is_an_event_with_a_key_of_its_own_that_stays(mails: list[tuple[str, bytes]]) -> None:
    keys: dict[str, bytes] = {}
    for number, (_, raw) in enumerate(mails):
        event = received(Fetched("INBOX", 1, number, 1, raw, len(raw)), parse(raw, OWN, LIMITS), SETTINGS)
        again = received(Fetched("Archive", 2, 7, 1, raw, len(raw)), parse(raw, OWN, LIMITS), SETTINGS)
        assert not raw or event.event_key == again.event_key
        assert keys.setdefault(event.event_key, raw) == raw or event.mail
        keys[event.event_key] = raw
        assert len(event.event_key) <= 200
        assert event.raw == raw
        if event.quarantine is not None:
            assert not event.addressed
        if event.mail is None:
            assert event.author.kind is AuthorKind.SYSTEM
        assert not [
            text for text in (event.external_id, event.text, event.place.thread_id) if UNSTORABLE.search(text)
        ]


async def test_the_parser_process_agrees_and_survives_the_corpus(mails: list[tuple[str, bytes]]) -> None:
    parser = Parser(LIMITS.parser_memory_bytes, processes=1)
    parser.use()
    try:
        for _, raw in mails[::5]:
            assert await parser.parse(raw, OWN, LIMITS) == parse(raw, OWN, LIMITS)
    finally:
        await parser.leave()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (nested(1000), "too_many_parts"),
        (b"Subject: " + b"a" * 400_000, "headers_too_long"),
        (b"", "empty"),
        (b"Subject: x\r\n\r\n" + b"a" * 2000, "too_long"),
    ],
    ids=["depth", "headers", "empty", "size"],
)
def test_what_is_beyond_a_limit_says_which(raw: bytes, reason: str) -> None:
    limits = MailLimits(mail_bytes=1000) if reason == "too_long" else LIMITS
    found = parse(raw, OWN, limits)
    assert isinstance(found, Quarantine)
    assert found.reason == reason
