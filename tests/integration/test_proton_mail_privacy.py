"""Somebody stands in between: no credential leaves, and the fault says why."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest

from adapters.contract import Outbound, Place
from adapters.errors import Misconfigured, Remedy
from adapters.proton_mail import ProtonMailAdapter
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.sandbox.mailbox.certificate import another
from fleetprompt.sandbox.mailbox.records import PASSWORD
from tests.listening import listening
from tests.mail_stage import DANA, FLEET, settings

ANSWER = Outbound("d1", Place(DANA, "direct"), "An answer.", 1)
IMAP = {
    "imap_strip_starttls": "not offered",
    "imap_refuse_starttls": "refused",
    "imap_inject": "plain bytes",
    "imap_other_certificate": "another certificate",
    "imap_preauth": "PREAUTH",
}
SMTP = {
    "smtp_strip_starttls": "not offered",
    "smtp_inject": "plain bytes",
    "smtp_other_certificate": "another certificate",
}


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET)
        yield running


def assert_kept(server: SandboxMailbox) -> None:
    """Neither in clear nor encoded, whatever was sent outside TLS or inside one that is not ours."""
    encoded = [base64.b64encode(text.encode()) for text in (PASSWORD, f"\0{FLEET}\0{PASSWORD}")]
    sent = b"".join(piece.data for piece in server.wire)
    assert not [secret for secret in (PASSWORD.encode(), *encoded) if secret in sent]


@pytest.mark.parametrize("fault", IMAP)
async def test_imap_sends_no_credential(server: SandboxMailbox, fault: str) -> None:
    adapter = ProtonMailAdapter(settings(server))
    server.arm(fault, 10)
    with pytest.raises(Misconfigured) as raised:
        await adapter.open()
    assert IMAP[fault] in raised.value.detail
    assert raised.value.advice
    [line] = [line for line in await adapter.check() if not line.ok]
    assert (line.name, IMAP[fault] in line.detail) == ("imap", True)
    async with listening(adapter) as ear:
        await ear.until(lambda: ear.is_over)
    assert isinstance(ear.error, Misconfigured)
    assert ear.error.remedy is Remedy.ASK_HUMAN
    assert_kept(server)
    await adapter.close()


@pytest.mark.parametrize("fault", SMTP)
async def test_smtp_sends_no_credential(server: SandboxMailbox, fault: str) -> None:
    adapter = ProtonMailAdapter(settings(server))
    server.arm(fault, 10)
    with pytest.raises(Misconfigured) as raised:
        await adapter.send(ANSWER)
    assert SMTP[fault] in raised.value.detail
    assert_kept(server)
    [line] = [line for line in await adapter.check() if not line.ok]
    assert (line.name, SMTP[fault] in line.detail) == ("smtp", True)
    assert not server.submissions
    await adapter.close()


@pytest.mark.parametrize("implicit_tls", [False, True])
async def test_a_certificate_that_is_not_the_pinned_one_is_not_taken(implicit_tls: bool) -> None:
    async with SandboxMailbox(implicit_tls=implicit_tls) as server:
        server.create_account(FLEET)
        tls = "implicit" if implicit_tls else "starttls"
        adapter = ProtonMailAdapter(settings(server, certificate_pem=another().pem, tls=tls))
        with pytest.raises(Misconfigured, match="another certificate"):
            await adapter.open()
        with pytest.raises(Misconfigured, match="another certificate"):
            await adapter.send(ANSWER)
        assert_kept(server)
        await adapter.close()


async def test_tls_from_the_first_byte_works_too() -> None:
    async with SandboxMailbox(implicit_tls=True) as server:
        server.create_account(FLEET)
        adapter = ProtonMailAdapter(settings(server, tls="implicit", host="localhost"))
        assert all(line.ok for line in await adapter.check())
        await adapter.send(ANSWER)
        assert [one.recipients for one in server.submissions] == [(DANA,)]
        await adapter.close()


async def test_the_credential_crosses_inside_tls_alone(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server))
    await adapter.open()
    await adapter.send(ANSWER)
    await adapter.close()
    assert PASSWORD.encode() not in server.plain_bytes()
    assert base64.b64encode(f"\0{FLEET}\0{PASSWORD}".encode()) not in server.plain_bytes()
    assert PASSWORD.encode() in b"".join(piece.data for piece in server.wire)
