"""What Bridge could not decrypt is told from what a person says of decrypting."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from adapters.proton_mail import Mail, MailLimits
from adapters.proton_mail.parse import parse
from tests.mail_stage import FLEET, mail

ENCRYPTED = EmailMessage(policy=SMTP)
ENCRYPTED["From"], ENCRYPTED["To"] = "a@x.example", FLEET
ENCRYPTED.set_content("see it")
ENCRYPTED.add_attachment(
    b"-----BEGIN PGP MESSAGE-----", maintype="application", subtype="pgp-encrypted", filename="encrypted.asc"
)
ARMOUR = (
    "-----BEGIN PGP MESSAGE-----\r\nVersion: GopenPGP 2.7.4\r\n"
    "Comment: This message could not be decrypted: gopenpgp: error in reading message: incorrect key\r\n\r\n"
)


def read(raw: bytes) -> Mail:
    found = parse(raw, (FLEET,), MailLimits())
    assert isinstance(found, Mail)
    return found


@pytest.mark.parametrize(
    "raw",
    [
        mail("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----"),
        ENCRYPTED.as_bytes(),
        mail("This message could not be decrypted."),
        mail("This message could not be decrypted: gopenpgp: error in reading message: incorrect key"),
        mail(ARMOUR),
        mail(f"\r\n{ARMOUR}{'wcBMA1iOyuyBImpHAQf/' * 3000}"),
        mail(ARMOUR).replace(b"text/plain", b"text/html"),
    ],
)
def test_mail_that_bridge_could_not_decrypt_is_said_to_be_so(raw: bytes) -> None:
    assert read(raw).undecrypted


@pytest.mark.parametrize(
    "text",
    [
        "I cannot decrypt the file you sent me.",
        "We were unable to decrypt your attachment; please send it again.",
        "This message could not be decrypted by our gateway. Could you send the invoice again?",
        "What does this mean?\r\n\r\nThis message could not be decrypted: incorrect key",
        "Your last answer came as this:\r\n\r\n> -----BEGIN PGP MESSAGE-----\r\n> wcBMA1iO",
        "Here it is once more:\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nwcBMA1iO\r\n-----END PGP MESSAGE-----",
        "Where is my order?\r\n\r\nOn Monday Fleet wrote:\r\n> This message could not be decrypted.",
        "My disk failed to decrypt at boot.",
    ],
)
def test_a_person_who_speaks_of_decrypting_is_read_as_any_other(text: str) -> None:
    found = read(mail(text))
    assert not found.undecrypted
    assert found.text
