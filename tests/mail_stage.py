"""The sandbox mailbox as a stage of the adapter contract, and mails for tests."""

from __future__ import annotations

import email
import itertools
from collections.abc import Sequence
from email.policy import default

import pytest

from adapters.contract import Observer, Place
from adapters.proton_mail import MailLimits, Pace, ProtonMailAdapter, ProtonMailSettings
from adapters.proton_mail.render import MAX_TEXT_RUNES
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.sandbox.mailbox.records import PASSWORD

FLEET = "fleet@acme.example"
DANA = "dana@customer.example"
QUICK = Pace(
    connect_timeout_s=5,
    answer_timeout_s=5,
    idle_s=2,
    idle_end_s=5,
    poll_s=0.3,
    backoff_first_s=0.05,
    backoff_most_s=0.3,
    send_timeout_s=5,
    look_up_s=0.1,
    look_up_every_s=0.05,
)
_NUMBERS = itertools.count(1)


def mail(
    text: str = "hello",
    *,
    sender: str = f"Dana <{DANA}>",
    to: str = FLEET,
    subject: str = "A question",
    message_id: str = "",
    headers: Sequence[str] = (),
) -> bytes:
    """A plain mail. headers: more of them, as whole lines."""
    lines = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Message-ID: {message_id or f'<m{next(_NUMBERS)}@customer.example>'}",
        "Date: Sat, 21 Nov 2026 10:00:00 +0000",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + text + "\r\n").encode()


def settings(server: SandboxMailbox, address: str = FLEET, **changes: object) -> ProtonMailSettings:
    """Of an account on the sandbox. changes: any other field."""
    values: dict[str, object] = {
        "username": address,
        "password": PASSWORD,
        "certificate_pem": server.certificate_pem,
        "imap_port": server.imap.port,
        "smtp_port": server.smtp.port,
        "start_at_ms": 1,
        "pace": QUICK,
        "limits": MailLimits(),
    }
    return ProtonMailSettings(**(values | changes))  # type: ignore[arg-type]


def plain_text(raw: bytes) -> str:
    """The text of a mail that we sent."""
    body = email.message_from_bytes(raw, policy=default).get_body(("plain",))
    assert body is not None
    return str(body.get_content()).strip()


class MailStage:
    """Over the sandbox mailbox. A channel is a mailing list; who is named beside it is mentioned."""

    max_runes = MAX_TEXT_RUNES
    account_name, credential_line = FLEET, "imap"

    def __init__(self, server: SandboxMailbox, other: SandboxMailbox) -> None:
        self.server, self.other = server, other
        server.create_account(FLEET)

    def needs(self, what: str) -> None:
        pytest.skip(f"a mailbox has no {what}")

    def person_id(self) -> str:
        pytest.skip("a mailbox tells nobody alone")

    def adapter(self, observer: Observer | None = None, *, good: bool = True) -> ProtonMailAdapter:
        changes = {} if good else {"password": "wrong"}
        return ProtonMailAdapter(settings(self.server, folders=("INBOX", "Sent"), **changes), observer)

    def elsewhere(self) -> ProtonMailAdapter:
        self.other.create_account("fleet@globex.example")
        return ProtonMailAdapter(settings(self.other, "fleet@globex.example"))

    def place(self, *, direct: bool = False, thread_id: str = "") -> Place:
        return Place(DANA, "direct" if direct else "group", thread_id)

    def says(self, text: str, *, direct: bool = False, thread_id: str = "") -> str:
        headers = [f"References: {thread_id}"] if thread_id else []
        to = FLEET if direct else "team@acme.example"
        if "@fleet" in text:
            headers.append(f"Cc: {FLEET}")
        elif not direct:
            headers.append("List-Id: <team.acme.example>")
        message_id = f"<m{next(_NUMBERS)}@customer.example>"
        self.server.deliver(FLEET, mail(text, to=to, message_id=message_id, headers=headers))
        return message_id

    def edits(self, message_id: str, text: str) -> None:
        self.needs("edits")

    def deletes(self, message_id: str) -> None:
        self.needs("deletion")

    def lose_next_answer(self) -> None:
        self.server.arm("smtp_drop_after_data")

    def close_channel(self) -> None:
        self.needs("closing")

    def spoken(self) -> list[str]:
        return [plain_text(one.raw) for one in self.server.submissions if one.sent is not None]
