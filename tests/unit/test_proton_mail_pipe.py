"""A mail comes through the pipe as it was read; what is a part of its text is not sent twice."""

from __future__ import annotations

import json

import pytest

from adapters.proton_mail.mail import Address, Attachment, Bounce, Mail, SenderTrust

TEXT = "grüße 🎈, where is it?\n\nOn Friday you wrote:\n> it comes\n> it comes"


@pytest.mark.parametrize(
    ("reply", "quoted", "is_twice"),
    [
        (TEXT, "", False),
        ("grüße 🎈, where is it?", "On Friday you wrote:\n> it comes\n> it comes", False),
        ("> it comes", "", False),
        ("where  is it?", "said otherwise", True),
        ("", "", True),
    ],
)
def test_parts_of_the_text_come_back(reply: str, quoted: str, is_twice: bool) -> None:
    mail = Mail(
        senders=(Address("a@b.example", "A"),),
        text=TEXT,
        reply=reply,
        quoted=quoted,
        attachments=(Attachment("n", "t", "c", 1, "s", 0, 1),),
        trust=SenderTrust("pass"),
        bounce=Bounce("text", True, ("x@y.example",)),
    )
    sent = mail.as_json()
    assert isinstance(sent["reply"], str) == is_twice
    assert Mail.from_json(json.loads(json.dumps(sent))) == mail
