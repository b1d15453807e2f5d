"""One SMTP conversation with Bridge: connect, be private, log in, hand over one mail's bytes.

aiosmtplib sends credentials in clear when STARTTLS is absent, unless it is led step by step; and it throws away what an
attacker put behind the STARTTLS answer, where we refuse.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from adapters.errors import AdapterError, CredentialRefused, FarSideFailed
from adapters.proton_mail.faults import SMTP_ERRORS, login_refused, not_private, translate, translate_sending
from adapters.proton_mail.settings import ProtonMailSettings, Tls


@asynccontextmanager
async def conversation(settings: ProtonMailSettings, user: str = "") -> AsyncIterator[aiosmtplib.SMTP]:
    """Logged in. user: another of the account's addresses. Raises the tree of `adapters.errors`."""
    client = await _connect(settings)
    try:
        await _log_in(client, settings, user or settings.username)
        yield client
    finally:
        await _leave(client)


async def hand_over(
    client: aiosmtplib.SMTP, sender: str, recipients: Sequence[str], raw: bytes, timeout_s: float
) -> str:
    """Send one mail to all recipients or to none. Raises OutcomeUnknown when it may have left. Returns the answer's code."""
    try:
        await client.mail(sender, encoding="ascii")
        for recipient in recipients:
            await client.rcpt(recipient, encoding="ascii")
    except SMTP_ERRORS as error:
        raise translate(error, "smtp") from None  # the library's errors name the recipient
    try:
        response = await client.data(raw, timeout=timeout_s)
    except SMTP_ERRORS as error:
        raise translate_sending(error) from None
    return str(response.code)


async def _connect(settings: ProtonMailSettings) -> aiosmtplib.SMTP:
    context = settings.verified()
    is_implicit = settings.tls == Tls.IMPLICIT
    client = aiosmtplib.SMTP(
        hostname=settings.certificate_host if is_implicit else settings.host,
        port=None if is_implicit else settings.smtp_port,
        local_hostname="[127.0.0.1]",
        use_tls=is_implicit,
        start_tls=False,
        tls_context=context,
        timeout=settings.pace.connect_timeout_s,
    )
    try:
        if is_implicit:  # the certificate's name is not the host's
            await client.connect(sock=await _socket(settings))
        else:
            await client.connect()
        if not is_implicit:
            await _upgrade(client, settings)
        client.timeout = settings.pace.answer_timeout_s
    except (*SMTP_ERRORS, AdapterError) as error:
        await _leave(client)
        raise translate(error, "smtp") from None
    return client


async def _socket(settings: ProtonMailSettings) -> socket.socket:
    address = (settings.host, settings.smtp_port)
    made = await asyncio.to_thread(socket.create_connection, address, settings.pace.connect_timeout_s)
    made.setblocking(False)
    return made


async def _upgrade(client: aiosmtplib.SMTP, settings: ProtonMailSettings) -> None:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise not_private("smtp", "STARTTLS is not offered")
    assert client.protocol is not None
    client.protocol.__class__ = WatchfulProtocol
    await client.starttls(server_hostname=settings.certificate_host, tls_context=settings.verified())


class WatchfulProtocol(SMTPProtocol):
    """Refuses what stands behind the STARTTLS answer in clear."""

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:
        response = await super().read_response(timeout)
        if self._buffer and not self._over_ssl:
            raise not_private("smtp", "plain bytes stood behind the STARTTLS answer")
        return response


async def _log_in(client: aiosmtplib.SMTP, settings: ProtonMailSettings, user: str) -> None:
    if client.get_transport_info("sslcontext") is None:
        raise not_private("smtp", "the connection is not private")
    try:
        await client.ehlo()
        await client.auth_plain(user, settings.password)
    except aiosmtplib.SMTPAuthenticationError as error:
        raise _refused(error) from None
    except SMTP_ERRORS as error:
        raise translate(error, "smtp") from None


def _refused(error: aiosmtplib.SMTPAuthenticationError) -> CredentialRefused | FarSideFailed:
    """Bridge answers 454 to a wrong password, others 535."""
    return (
        login_refused("smtp")
        if error.code in (454, 534, 535)
        else FarSideFailed(f"smtp: answered {error.code}")
    )


async def _leave(client: aiosmtplib.SMTP) -> None:
    with suppress(*SMTP_ERRORS, AdapterError):
        if client.is_connected:
            await client.quit(timeout=1)
    client.close()
