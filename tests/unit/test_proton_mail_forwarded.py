"""Mails forwarded as attachments: their text is quoted beside what the sender wrote, and within limits."""

from __future__ import annotations

from adapters.proton_mail import Mail, MailLimits
from adapters.proton_mail.parse import parse
from tests.mail_stage import FLEET, mail


def read(raw: bytes) -> Mail:
    found = parse(raw, (FLEET,), MailLimits())
    assert isinstance(found, Mail), found
    return found


def forwarding(*inside: bytes, text: str = "Please see what Bob wrote.", mark: bytes = b"b") -> bytes:
    parts = [b"Content-Type: text/plain\r\n\r\n" + text.encode()]
    parts += [
        b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + one for one in inside
    ]
    body = b"".join(b"--" + mark + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + mark + b"--\r\n"
    head = f"From: dana@customer.example\r\nTo: {FLEET}\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\n"
    return head.encode() + b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n" + body


def test_a_mail_that_is_forwarded_as_an_attachment_is_read_as_what_it_is() -> None:
    hidden = b"Subject: The contract\r\nFrom: Bob <bob@x.example>\r\nContent-Type: text/html\r\n\r\n" + (
        b"<p>I want <b>ten</b> of them.</p><p style='display:none'>SECRET</p>"
    )
    found = read(forwarding(hidden))
    quoted = "> From: Bob <bob@x.example>\n> Subject: The contract\n>\n> I want ten of them."
    assert (
        found.reply
        == f"Please see what Bob wrote.\n\n---------- Forwarded message (attached) ----------\n{quoted}"
    )
    assert found.text == found.reply
    assert (len(found.attachments), found.sender.address) == (1, "dana@customer.example")


def test_of_forwarded_mails_no_more_is_read_than_a_few_and_none_inside_them() -> None:
    matryoshka = forwarding(forwarding(mail("innermost"), text="in the middle", mark=b"c"))
    assert ("in the middle" in read(matryoshka).text, "innermost" in read(matryoshka).text) == (True, False)
    many = read(forwarding(*(mail(f"number {number}") for number in range(20))))
    assert ("number 4" in many.text, "number 5" in many.text, many.notes) == (True, False, ("forwarded_cut",))
    long = read(forwarding(mail("word " * 100_000)))
    assert (len(long.text) < 60_000, long.notes) == (True, ("forwarded_cut",))
    assert (
        "SECRET"
        not in read(
            forwarding(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 900)
        ).text
    )
