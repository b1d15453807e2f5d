"""Every fault of the wire libraries has its type, and no word of theirs is quoted."""

from __future__ import annotations

import inspect
import ssl
from typing import Any

import aioimaplib  # type: ignore[import-untyped]
import aiosmtplib
import pytest

from adapters.errors import AdapterError, CredentialRefused, Misconfigured, OutcomeUnknown, Passing, Remedy
from adapters.proton_mail import ProtonMailSettings
from adapters.proton_mail.faults import IMAP_ERRORS, SMTP_ERRORS, translate, translate_sending
from adapters.proton_mail.protocol import BridgeCommand
from adapters.proton_mail.settings import pinned_context
from fleetprompt.sandbox.mailbox import certificate

SECRET = "quoted secret"


def made(kind: type[BaseException]) -> BaseException:
    """An instance without running a constructor that wants more."""
    error: BaseException = kind.__new__(kind)
    BaseException.__init__(error, SECRET)
    for name, value in (("code", 554), ("message", SECRET), ("command", SECRET)):
        if not hasattr(error, name):
            setattr(error, name, value)
    return error


def exceptions_of(module: Any) -> list[type[BaseException]]:
    found = {one for one in vars(module).values() if inspect.isclass(one) and issubclass(one, Exception)}
    return sorted(found, key=lambda one: one.__name__)


IMAP = exceptions_of(aioimaplib.aioimaplib)
SMTP = exceptions_of(aiosmtplib.errors)


def test_the_libraries_have_their_known_number_of_exceptions_at_least() -> None:
    assert (len(IMAP) >= 5, len(SMTP) >= 15) == (True, True)


@pytest.mark.parametrize(
    "kind", [*IMAP, *SMTP, ConnectionResetError, OSError, EOFError, ssl.SSLError, ValueError]
)
def test_each_fault_is_translated_without_its_words(kind: type[BaseException]) -> None:
    assert issubclass(kind, (*IMAP_ERRORS, *SMTP_ERRORS))
    for typed in (translate(made(kind), "imap"), translate_sending(made(kind))):
        assert isinstance(typed, AdapterError)
        assert SECRET not in f"{typed} {typed.detail} {typed.advice}"
    assert isinstance(translate_sending(made(kind)), OutcomeUnknown)


def test_a_refused_login_needs_a_person_and_a_lost_connection_does_not() -> None:
    assert isinstance(translate(made(aiosmtplib.SMTPAuthenticationError), "smtp"), CredentialRefused)
    assert isinstance(translate(made(ConnectionResetError), "imap"), Passing)
    assert isinstance(translate(made(TimeoutError), "imap"), Passing)


def test_another_certificate_needs_a_person() -> None:
    typed = translate(made(ssl.SSLCertVerificationError), "imap")
    assert typed.remedy is Remedy.ASK_HUMAN
    assert "certificate" in typed.detail


async def test_a_command_does_not_show_its_password() -> None:
    assert "hunter2" not in repr(BridgeCommand("LOGIN", "A1", '"fleet"', '"hunter2"', prefix=None))


def settings(**changes: Any) -> ProtonMailSettings:
    values: dict[str, Any] = {
        "username": "fleet@acme.example",
        "password": "x",
        "certificate_pem": certificate.own().pem,
    }
    return ProtonMailSettings(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"folders": ("All Mail",)},
        {"folders": ("INBOX", "all mail")},
        {"folders": ()},
        {"folders": ("INBOX", "inbox")},
        {"folders": ("a\r\nb",)},
        {"folders": tuple(f"f{n}" for n in range(51))},
        {"sent_folder": ""},
        {"username": "fleet"},
        {"addresses": ("x y@z",)},
        {"from_address": "a@b\r\nc"},
        {"password": ""},
        {"password": "p\u00e4ss"},
        {"certificate_pem": ""},
        {"certificate_pem": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"},
    ],
)
def test_settings_that_cannot_work_are_refused_with_advice(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as refused:
        settings(**changes).verified()
    assert refused.value.advice


def test_the_password_does_not_show() -> None:
    assert "hunter2" not in repr(settings(password="hunter2"))


def test_nothing_but_the_pinned_certificate_is_trusted() -> None:
    context = pinned_context(certificate.own().pem)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509"] == 1


def test_two_bridges_of_one_account_are_one_account() -> None:
    assert settings(host="10.0.0.1").account_key == settings(username="Fleet@ACME.example").account_key
    assert settings().account_key != settings(username="fleet@globex.example").account_key
