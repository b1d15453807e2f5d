"""The same reading on a server that is not ours: other literals, other answers, other IDLE."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.errors import CredentialRefused, Misconfigured
from adapters.proton_mail import Letter, ProtonMailAdapter, freeze
from fleetprompt.sandbox.mailbox.certificate import another
from tests.dovecot import Dovecot, dovecot
from tests.listening import listening
from tests.mail_stage import DANA, mail


@pytest.fixture
async def server() -> AsyncIterator[Dovecot]:
    """In a directory that the server's own user can reach."""
    base = Path(tempfile.mkdtemp(prefix="fleetprompt-dovecot-", dir="/tmp"))
    os.chmod(base, 0o755)
    try:
        async with dovecot(base) as running:
            yield running
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.parametrize("idle", [True, False])
async def test_mail_is_read_with_idle_and_without(server: Dovecot, idle: bool) -> None:
    adapter = ProtonMailAdapter(server.settings(idle=idle))
    async with listening(adapter) as ear:
        await ear.hears("hello")
        server.deliver(mail("second"), "1")
        await ear.hears("second")
        server.deliver(mail("x" * 300_000), "2")
        await ear.until(lambda: len(ear.heard) == 3)
    async with listening(adapter, ear.cursor) as again:
        server.deliver(mail("third"), "3")
        await again.hears("third")
    assert again.texts == ["third"]
    await adapter.close()


async def test_what_was_sent_is_found_by_its_message_id(server: Dovecot) -> None:
    settings = server.settings()
    letter = freeze("d1", Letter([DANA], "Re: hi", "An answer."), settings, 1)
    server.deliver(letter.raw, "1", "Sent")
    adapter = ProtonMailAdapter(settings)
    assert await adapter.look_up(letter) is not None
    assert await adapter.look_up(freeze("d2", Letter([DANA], "Re: hi", "An answer."), settings, 1)) is None
    await adapter.close()


async def test_refusals_are_told_apart(server: Dovecot) -> None:
    for changes, kind in (
        ({"password": "wrong"}, CredentialRefused),
        ({"certificate_pem": another().pem}, Misconfigured),
    ):
        adapter = ProtonMailAdapter(server.settings(**changes))
        with pytest.raises(kind):
            await adapter.open()
        await adapter.close()
