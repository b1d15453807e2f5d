"""Secrets are taken out of mails and of their raw bytes, in whichever encoding; all else stays byte for byte."""

from __future__ import annotations

import base64
import quopri

import pytest

from adapters.contract import AuthorKind
from adapters.proton_mail import MailLimits, MailReceived, ProtonMailSettings
from adapters.proton_mail.normalise import Fetched, received
from adapters.proton_mail.parse import parse
from fleetprompt.connectors.proton_mail.pasted import without_secrets
from fleetprompt.kernel.secret_shapes import REMOVED

OWN = "fleet@acme.example"
TOKEN = f"ghp_{'aB3' * 12}"
SETTINGS = ProtonMailSettings(OWN, "x", certificate_pem="")
ATTACHED = base64.encodebytes(f"token: {TOKEN} in a file".encode() * 3).replace(b"\n", b"\r\n")


def mail(body: bytes, *headers: str, subject: str = "Hello") -> bytes:
    """A mail with one text and one attachment."""
    head = "\r\n".join(
        [
            "From: dana@customer.example",
            f"To: {OWN}",
            f"Subject: {subject}",
            "Message-ID: <1@customer.example>",
            "MIME-Version: 1.0",
            'Content-Type: multipart/mixed; boundary="b"',
            "",
            "--b",
            *headers,
            "",
            "",
        ]
    )
    rest = b"\r\n--b\r\nContent-Type: text/plain; name=x.txt\r\nContent-Disposition: attachment\r\n"
    return (
        head.encode() + body + rest + b"Content-Transfer-Encoding: base64\r\n\r\n" + ATTACHED + b"--b--\r\n"
    )


def came(raw: bytes) -> MailReceived:
    return received(Fetched("INBOX", 1, 1, 0, raw, len(raw)), parse(raw, (OWN,), MailLimits()), SETTINGS)


PLAIN = "Content-Type: text/plain; charset=utf-8"
HTML = "Content-Type: text/html; charset=utf-8"
QP, B64 = (f"Content-Transfer-Encoding: {name}" for name in ("quoted-printable", "base64"))
SAID = f"Grüße, the token is {TOKEN} thanks, it = great\r\n" + "second line é\r\n" * 3
CASES: dict[str, tuple[bytes, list[str]]] = {
    "8bit": (SAID.encode(), [PLAIN]),
    "base64": (base64.encodebytes(SAID.encode()).replace(b"\n", b"\r\n"), [PLAIN, B64]),
    "quoted": (quopri.encodestring(SAID.encode()).replace(b"\n", b"\r\n"), [PLAIN, QP]),
    "all quoted": (b"".join(b"=%02X" % byte for byte in f"{TOKEN}".encode()), [PLAIN, QP]),
    "soft break": (TOKEN[:9].encode() + b"=\r\n" + TOKEN[9:].encode(), [PLAIN, QP]),
    "utf-16": (base64.encodebytes(SAID.encode("utf-16")), ["Content-Type: text/plain; charset=utf-16", B64]),
    "html": (f"<p>the token is {TOKEN}</p>".encode(), [HTML]),
    "markup within": (f"<p>the token is {TOKEN[:9]}<b>{TOKEN[9:]}</b></p>".encode(), [HTML]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_secret_is_gone_from_the_mail_and_its_raw_bytes(case: str) -> None:
    body, headers = CASES[case]
    raw = mail(body, *headers)
    event = came(raw)
    assert event.mail is not None
    assert TOKEN in event.mail.text
    clean, kinds = without_secrets(event)
    assert (kinds, clean.mail is not None and TOKEN not in repr(clean.mail)) == (("github_token",), True)
    assert REMOVED in clean.text
    again = came(clean.raw).mail
    assert again is not None
    assert TOKEN not in again.text
    assert len(clean.raw) == len(raw)
    assert clean.raw.endswith(raw[raw.index(b"\r\n--b\r\nContent-Type: text/plain; name") :])
    assert clean.raw.startswith(raw[: raw.index(b"--b\r\n")])


@pytest.mark.parametrize("case", ["8bit", "base64", "quoted"])
def test_the_words_around_it_stay_in_the_raw_mail(case: str) -> None:
    body, headers = CASES[case]
    clean, _ = without_secrets(came(mail(body, *headers)))
    again = came(clean.raw).mail
    assert again is not None
    assert again.text.startswith(f"Grüße, the token is {'*' * len(TOKEN)} thanks, it = great")
    assert again.text.count("second line é") == 3


@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_secret_in_the_subject_is_gone_from_the_headers(is_encoded: bool) -> None:
    encoded = f"=?utf-8?B?{base64.b64encode(f'my key {TOKEN}'.encode()).decode()}?="
    raw = mail(b"hi", PLAIN, subject=encoded if is_encoded else f"my key {TOKEN}")
    clean, kinds = without_secrets(came(raw))
    assert kinds == ("github_token",)
    assert clean.mail is not None
    assert clean.mail.subject == clean.place.channel_name == f"my key {REMOVED}"
    again = came(clean.raw).mail
    assert again is not None
    assert TOKEN not in again.subject
    assert again.message_id == "<1@customer.example>"


def test_a_mail_without_a_secret_stays_as_it_is() -> None:
    event = came(
        mail(b"Where is my order? https://x.example/?token=eyJhbGciOiJ9.eyJzdWIiOiIxIn0.abcdefghij", PLAIN)
    )
    assert without_secrets(event) == (event, ())
    assert without_secrets(event)[0] is event


def test_what_could_not_be_read_is_looked_through_as_it_is() -> None:
    raw = f"Subject: x\r\n\r\n{TOKEN}\r\n".encode()
    event = received(
        Fetched("INBOX", 1, 1, 0, raw, len(raw)), parse(raw, (OWN,), MailLimits(mail_bytes=5)), SETTINGS
    )
    assert (event.mail, event.author.kind) == (None, AuthorKind.SYSTEM)
    clean, kinds = without_secrets(event)
    assert (kinds, TOKEN.encode() in clean.raw, len(clean.raw)) == (("unread",), False, len(raw))


def test_a_secret_in_a_version_that_is_not_shown_is_gone_from_the_raw_mail() -> None:
    shown = b"<p>Nothing of what stands beside this is seen by anybody who reads the mail at a desk.</p>"
    plain = f"the token is {TOKEN}, whatever else is said in here".encode()
    parts = b"".join(
        b"--b\r\nContent-Type: text/" + kind + b"\r\n\r\n" + body + b"\r\n"
        for kind, body in ((b"plain", plain), (b"html", shown))
    )
    head = f"From: a@customer.example\r\nTo: {OWN}\r\nMessage-ID: <1@customer.example>\r\n".encode()
    raw = head + b"Content-Type: multipart/alternative; boundary=b\r\n\r\n" + parts + b"--b--\r\n"
    event = came(raw)
    assert event.mail is not None
    assert TOKEN not in event.mail.text
    clean, kinds = without_secrets(event)
    assert (kinds, TOKEN.encode() in clean.raw, len(clean.raw)) == (("unread",), False, len(raw))
    assert clean.text == event.text
