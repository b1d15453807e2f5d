"""Who wrote, as far as that is known; what no machine may answer; what is a bounce."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from adapters.contract import AuthorKind
from adapters.proton_mail import Mail, MailLimits, MailReceived, ProtonMailSettings
from adapters.proton_mail.normalise import Fetched, received
from adapters.proton_mail.parse import parse
from tests.mail_stage import DANA, FLEET, mail

SETTINGS = ProtonMailSettings(FLEET, "x", "", addresses=("support@acme.example",))
PASSED = (
    "Authentication-Results: mail.protonmail.ch; spf=pass smtp.mailfrom=x; dkim=pass; dmarc=pass (p=none)"
)
FAILED = (
    "Authentication-Results: mail.protonmail.ch; spf=fail; dmarc=fail (p=reject) header.from=customer.example"
)
AUTHORITY = "Authentication-Results: mail.protonmail.ch;"
OF_DMARC = f"{AUTHORITY} dmarc=pass (p=none dis=none) header.from=customer.example"
# As Proton writes them: one for each method, and one more for each further signature.
GENUINE = [
    OF_DMARC,
    f"{AUTHORITY} spf=pass smtp.mailfrom=customer.example",
    f"{AUTHORITY} arc=none smtp.remote-ip=192.0.2.1",
    f"{AUTHORITY} dkim=pass (2048-bit key) header.d=customer.example",
    f"{AUTHORITY} dkim=fail (Bad 0 bit rsa-sha256 signature.) header.d=list.example",
]
OURS = "<0123456789abcdef@acme.example>"


def read(raw: bytes) -> Mail:
    found = parse(raw, SETTINGS.own_addresses, MailLimits())
    assert isinstance(found, Mail), found
    return found


def event(raw: bytes, folder: str = "INBOX") -> MailReceived:
    return received(Fetched(folder, 1, 1, 1, raw, len(raw)), read(raw), SETTINGS)


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ([PASSED], "pass"),
        ([FAILED], "fail"),
        ([], "unverified"),
        ([PASSED, FAILED], "conflicting"),
        ([PASSED, PASSED], "pass"),
        (["Authentication-Results: evil.example; dmarc=pass"], "unverified"),
        (["Authentication-Results: mail.protonmail.ch (dmarc=pass); spf=pass"], "unverified"),
        (["Authentication-Results: mail.protonmail.ch.evil.example; dmarc=pass"], "unverified"),
        ([PASSED, "From: boss@acme.example"], "unverified"),
        (GENUINE, "pass"),
        ([one.replace("dmarc=pass", "dmarc=fail") for one in GENUINE], "fail"),
        ([*GENUINE, f"{AUTHORITY} dmarc=fail"], "conflicting"),
        ([f"{AUTHORITY} dmarc=fail", *GENUINE], "conflicting"),
        # What a sender may choose of them: his envelope's address, a selector, a comment in it.
        ([f"{AUTHORITY} spf=pass smtp.mailfrom=dmarc=pass@evil.example"], "unverified"),
        ([f'{AUTHORITY} spf=pass smtp.mailfrom="x; dmarc=pass"@evil.example'], "unverified"),
        ([f"{AUTHORITY} spf=pass (a (b) ; dmarc=pass) smtp.mailfrom=x"], "unverified"),
        ([f'{AUTHORITY} dkim=fail ("(" x) header.d=x; dmarc=pass'], "unverified"),
    ],
)
def test_the_verdict_is_what_proton_asserts(headers: list[str], verdict: str) -> None:
    assert read(mail(headers=headers)).trust.verdict == verdict


def test_two_from_headers_are_counted() -> None:
    assert read(mail(headers=["From: boss@acme.example"])).trust.from_headers == 2


def test_a_name_that_imitates_an_address_is_noticed() -> None:
    assert read(mail(sender='"boss@acme.example" <x@evil.example>')).trust.imitates == "boss@acme.example"
    assert read(mail(sender=f'"{DANA}" <{DANA}>')).trust.imitates == ""


def test_an_answer_that_would_go_elsewhere_is_noticed() -> None:
    assert read(mail(headers=["Reply-To: x@evil.example"])).trust.reply_elsewhere
    assert not read(mail(headers=["Reply-To: other@customer.example"])).trust.reply_elsewhere


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Auto-Submitted: auto-replied", "auto_submitted"),
        ("Auto-Submitted: no\r\nAuto-Submitted: auto-replied(vacation)", "auto_submitted"),
        ("Precedence: first-class\r\nPrecedence: bulk", "precedence"),
        ("Auto-Submitted: auto-generated; x=y", "auto_submitted"),
        ("Precedence: bulk", "precedence"),
        ("Precedence: LIST", "precedence"),
        ("Precedence: junk", "precedence"),
        ("List-Id: <l.example>", "list"),
        ("List-Unsubscribe: <mailto:x@y.example>", "list"),
        ("X-Auto-Response-Suppress: All", "auto_response_suppress"),
        ("X-Autoreply: yes", "auto_responder"),
        ("Return-Path: <>", "null_return_path"),
    ],
)
def test_what_no_machine_may_answer_is_not_addressed(header: str, reason: str) -> None:
    found = event(mail(headers=[header]))
    assert found.mail is not None
    assert found.mail.never_answer == (reason,)
    assert not found.addressed


def test_a_report_from_an_ordinary_sender_is_not_addressed() -> None:
    """A read receipt, as a person's mail program sends it: with a return path, and no bounce."""
    text = "--b\r\nContent-Type: text/plain\r\n\r\nIt was read.\r\n--b--"
    raw = mail(text, headers=[f"Return-Path: <{DANA}>"])
    as_report = b'multipart/report; report-type=disposition-notification; boundary="b"'
    found = event(raw.replace(b"text/plain; charset=utf-8", as_report))
    assert found.mail is not None
    assert found.mail.bounce is None
    assert found.mail.never_answer == ("report",)
    assert not found.addressed


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: no", "Precedence: first-class", "Return-Path: <dana@customer.example>"]
)
def test_what_a_person_wrote_is_addressed(header: str) -> None:
    assert event(mail(headers=[header])).addressed


@pytest.mark.parametrize(
    "name", ["mailer-daemon", "no-reply", "noreply+x", "DoNotReply", "postmaster", "notifications"]
)
def test_senders_who_do_not_read_are_not_answered(name: str) -> None:
    assert "no_reply_sender" in read(mail(sender=f"{name}@customer.example")).never_answer


@pytest.mark.parametrize("address", [FLEET, "Support@Acme.Example"])
def test_our_own_address_in_from_is_neither_us_nor_answered(address: str) -> None:
    """Anybody can write it; ours is what Bridge filed to Sent."""
    found = event(mail(sender=address))
    assert found.author.kind is AuthorKind.PERSON
    assert not found.addressed
    assert event(mail(sender=address), folder="Sent").author.kind is AuthorKind.SELF


def test_a_mail_to_us_among_others_mentions_us() -> None:
    among = event(mail(to=f"team@acme.example, {FLEET}"))
    assert (among.place.channel_kind, among.mentions_us, among.addressed) == ("group", True, True)
    alone = event(mail())
    assert (alone.place.channel_kind, alone.mentions_us, alone.place.channel_id) == ("direct", False, DANA)


def report(action: str = "failed", status: str = "5.1.1") -> bytes:
    returned = f"Message-ID: {OURS}\r\nSubject: Re: A question\r\n\r\n"
    return (
        "From: Mail Delivery System <mailer-daemon@mail.example>\r\nReturn-Path: <>\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example\r\n\r\n"
        f"Final-Recipient: rfc822; {DANA}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}--b--\r\n"
    ).encode()


def test_a_report_names_the_mail_and_the_recipient() -> None:
    bounce = read(report()).bounce
    assert bounce is not None
    assert (bounce.form, bounce.is_permanent, bounce.status) == ("report", True, "5.1.1")
    assert (bounce.recipients, bounce.message_ids) == ((DANA,), (OURS,))
    assert event(report()).author.kind is AuthorKind.SYSTEM


def test_a_delay_is_not_permanent() -> None:
    bounce = read(report("delayed", "4.4.1")).bounce
    assert bounce is not None
    assert not bounce.is_permanent


def test_a_receipt_is_no_bounce_and_is_not_answered() -> None:
    found = event(report("delivered", "2.0.0"))
    assert found.mail is not None
    assert found.mail.bounce is None
    assert not found.addressed


@pytest.mark.parametrize(
    "text",
    [
        f"Hi. This is the qmail-send program.\n<{DANA}>:\n550 5.1.1 no such user\n\n--- Below\nMessage-ID: {OURS}\n",
        f"Delivery has failed to these recipients:\n{DANA}\nThe address could not be found. 550 5.1.10\n> Message-ID: {OURS}",
    ],
)
def test_a_bounce_in_plain_words_is_one(text: str) -> None:
    found = read(mail(text, sender="MAILER-DAEMON@mail.example", subject="failure notice"))
    assert found.bounce is not None
    assert (found.bounce.form, found.bounce.is_permanent) == ("text", True)
    assert found.bounce.recipients == (DANA,)
    assert found.bounce.message_ids == (OURS,)


def test_a_temporary_failure_in_plain_words_is_not_permanent() -> None:
    text = f"Delivery to {DANA} is delayed, 451 4.7.1 greylisted; we will keep trying."
    found = read(mail(text, sender="postmaster@mail.example", subject="Delivery delayed"))
    assert found.bounce is not None
    assert not found.bounce.is_permanent


def test_an_absence_notice_about_a_failure_is_no_bounce_and_is_not_answered() -> None:
    """It has no return path, and its subject is that of our answer."""
    headers = ["Return-Path: <>", f"In-Reply-To: {OURS}"]
    text = "I am away until Monday. In urgent cases call 555 1234."
    found = read(mail(text, subject="Automatic reply: Re: My parcel was not delivered", headers=headers))
    assert found.bounce is None
    assert "null_return_path" in found.never_answer


def test_a_person_who_writes_of_a_failure_is_no_bounce() -> None:
    assert read(mail("My parcel was not delivered.", subject="Delivery failed")).bounce is None


def test_a_returned_mail_inside_a_report_is_found() -> None:
    message = EmailMessage(policy=SMTP)
    message["From"], message["Subject"], message["Return-Path"] = (
        "MAILER-DAEMON@x.example",
        "failure notice",
        "<>",
    )
    message.set_content(f"<{DANA}>: 550 unknown")
    inner = EmailMessage(policy=SMTP)
    inner["Message-ID"], inner["Subject"] = OURS, "Re: A question"
    inner.set_content("Our answer")
    message.add_attachment(inner)
    bounce = read(message.as_bytes()).bounce
    assert bounce is not None
    assert OURS in bounce.message_ids
