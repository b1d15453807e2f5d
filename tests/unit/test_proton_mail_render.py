"""The exact bytes of what is sent, and what is never sent."""

from __future__ import annotations

import email
from dataclasses import replace
from email.policy import default
from typing import Any

import pytest

from adapters.contract import Outbound, Place
from adapters.errors import Misconfigured, Refused, TooLong
from adapters.proton_mail import (
    Letter,
    ProtonMailAdapter,
    ProtonMailSettings,
    freeze,
    message_id_of,
    render,
    send,
)
from adapters.proton_mail.render import MAX_TEXT_RUNES, html_of
from adapters.proton_mail.send import frozen
from tests.mail_stage import DANA, FLEET

SETTINGS = ProtonMailSettings(FLEET, "x", "", from_name="Acme Support")
PROTON_ID = "<" + "A" * 88 + "==@protonmail.example>"  # about as long as Proton's
INTERNAL = "b" * 86 + "=="
AT_MS = 1_795_255_200_000


def letter(**changes: Any) -> Letter:
    values: dict[str, Any] = {"to": [DANA], "subject": "Re: A question", "text": "An *answer*."}
    return Letter(**(values | changes))


def lines(raw: bytes) -> list[bytes]:
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_the_thread_stands_unencoded_and_exact_on_the_wire() -> None:
    answer = letter(
        in_reply_to=PROTON_ID, references=["<first@x.example>", PROTON_ID], parent_internal_id=INTERNAL
    )
    head = lines(freeze("d1", answer, SETTINGS, AT_MS).raw)
    assert f"In-Reply-To: {PROTON_ID}".encode() in head
    place = head.index(b"References: <first@x.example>")
    assert head[place + 1 : place + 3] == [
        b" " + PROTON_ID.encode(),
        f" <{INTERNAL}@protonmail.internalid>".encode(),
    ]


def test_every_line_can_be_sent() -> None:
    answer = letter(
        subject="gr\u00fc\u00dfe " * 40,
        text="x" * 5000 + "\n.\n" + "gr\u00fc\u00dfe " * 500,
        to=[f"p{n}@customer.example" for n in range(90)],
        references=[f"<{'r' * 200}{n}@x.example>" for n in range(100)],
    )
    raw = freeze("d1", answer, replace(SETTINGS, from_name="\u00c4cme " * 15), AT_MS).raw
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_the_same_directive_is_the_same_bytes_and_another_one_differs() -> None:
    one = freeze("d1", letter(), SETTINGS, AT_MS)
    assert freeze("d1", letter(), SETTINGS, AT_MS) == one
    other = freeze("d2", letter(), SETTINGS, AT_MS)
    assert other.message_id != one.message_id
    assert one.message_id == message_id_of("d1", FLEET)
    assert f"Message-ID: {one.message_id}".encode() in lines(one.raw)


def test_both_versions_say_the_same() -> None:
    text = "Hello,\n\n- **one** <b>two</b>\n- [three](https://x.example/)\n\ngr\u00fc\u00dfe"
    raw = freeze("d1", letter(text=text), SETTINGS, AT_MS).raw
    read = email.message_from_bytes(raw, policy=default)
    plain, html = read.get_body(("plain",)), read.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n").strip() == text
    assert "<strong>one</strong>" in html.get_content()
    assert "&lt;b&gt;" in html.get_content()
    assert f'From: "Acme Support" <{FLEET}>'.encode() in lines(raw)
    assert read["To"] == DANA


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "[a](javascript:x)",
        "![p](https://x.example/p.png)",
        "<img src=x onerror=y>",
        "[a](data:x)",
    ],
)
def test_html_carries_nothing_active(text: str) -> None:
    made = html_of(text)
    assert not [
        bad for bad in ("<script", 'javascript:"', "<img", 'href="data', 'href="javascript') if bad in made
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"text": " \n"},
        {"text": "\u200b"},
        {"to": []},
        {"to": [f"p{n}@x.example" for n in range(101)]},
        {"to": ["a@x.example\r\nBcc: b@x.example"]},
        {"to": ["not an address"]},
        {"in_reply_to": "<a@b>\r\nBcc: c@d.example"},
        {"references": ["<a b@c>"]},
        {"parent_internal_id": "x>\r\nBcc: y"},
    ],
)
def test_what_must_not_be_sent_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        freeze("d1", letter(**changes), SETTINGS, AT_MS)


def test_a_subject_brings_no_header_along() -> None:
    head = lines(freeze("d1", letter(subject="hi\r\nBcc: x@y.example"), SETTINGS, AT_MS).raw)
    assert b"Subject: hi Bcc: x@y.example" in head


def test_a_long_text_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TooLong):
        freeze("d1", letter(text="x" * (MAX_TEXT_RUNES + 1)), SETTINGS, AT_MS)


async def test_a_mail_beyond_what_bridge_takes_is_refused_before_anybody_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = Outbound("d1", Place(DANA, "direct"), "An *answer*.", AT_MS)
    size = len(frozen(message, SETTINGS).raw)
    monkeypatch.setattr(render, "MAX_BYTES", size)
    frozen(message, SETTINGS)  # so many are taken
    monkeypatch.setattr(render, "MAX_BYTES", size - 1)
    monkeypatch.setattr(send, "conversation", None)
    with pytest.raises(TooLong, match=f"{size} bytes"):
        await ProtonMailAdapter(SETTINGS).send(message)


def test_a_key_is_printable_ascii() -> None:
    with pytest.raises(Refused):
        freeze("d\n1", letter(), SETTINGS, AT_MS)


def test_from_is_fixed_by_the_settings() -> None:
    with pytest.raises(Misconfigured):
        freeze("d1", letter(), replace(SETTINGS, from_address="x@y.example\r\nBcc: z@z.example"), AT_MS)


def test_a_plain_message_is_frozen_by_its_own_fields() -> None:
    message = Outbound("d1", Place(DANA, "direct", "<root@x.example>"), "hi", AT_MS, {"subject": "Re: x"})
    mail = frozen(message, SETTINGS)
    assert mail == frozen(message, SETTINGS)
    assert b"In-Reply-To: <root@x.example>" in lines(mail.raw)
    assert frozen(mail, SETTINGS) is mail
