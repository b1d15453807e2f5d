"""SMTP as Bridge speaks it, over aiosmtpd: login also in clear, no SIZE, 454 for a refused login, 554 for all else."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, AnyStr, Final, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fleetprompt.sandbox.mailbox import certificate
from fleetprompt.sandbox.mailbox.mailbox import Mailbox
from fleetprompt.sandbox.mailbox.records import Account

logging.getLogger("mail.log").setLevel(
    logging.ERROR
)  # aiosmtpd warns of its own deprecations, on the terminal
WEATHER: Final = "554 5.0.0 Error: transaction failed, blame it on the weather: "
MAX_BYTES: Final = 25 * 1024 * 1024


class SmtpHandler:
    """What happens to a mail on its way."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """Any address of an account, with its password."""
        assert isinstance(data, LoginPassword)
        account = self._mailbox.log_in(data.login.decode(), data.password.decode())
        if account is None or self._mailbox.faults.take("smtp_refuse_login"):
            return AuthResult(success=False, handled=False, message="454 4.7.0 invalid username or password")
        return AuthResult(success=True, auth_data=account)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """As go-smtp lists them."""
        session.host_name = hostname
        offered = [line for line in responses if line.startswith(("250-STARTTLS", "250-AUTH"))]
        return [
            responses[0],
            "250-PIPELINING",
            "250-8BITMIME",
            "250-ENHANCEDSTATUSCODES",
            *offered,
            "250 CHUNKING",
        ]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Only who is logged in; the address itself is looked at when the mail is sent."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self._mailbox.faults.take("smtp_fail_mail"):
            return WEATHER + "try again"
        envelope.mail_from = address
        return "250 2.0.0 Roger, accepting mail"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Anyone."""
        if self._mailbox.faults.take("smtp_fail_recipient"):
            return WEATHER + "no such recipient"
        envelope.rcpt_tos.append(address)
        return "250 2.0.0 I'll make sure this gets there"

    async def handle_DATA(self, server: SmtpConnection, session: Session, envelope: Envelope) -> str:
        """Send, or fail as Bridge does."""
        account, faults = cast(Account, session.auth_data), self._mailbox.faults
        raw = cast(bytes, envelope.original_content)
        if faults.take("smtp_drop_before_sending"):
            return await server.drop()
        if faults.take("smtp_fail_data"):
            return WEATHER + "the API is away"
        if not account.owns(envelope.mail_from or "") or len(raw) > MAX_BYTES:
            return WEATHER + "invalid return path"
        self._mailbox.submit(account, envelope.mail_from or "", envelope.rcpt_tos, raw)
        if faults.take("smtp_drop_after_data"):
            return await server.drop()
        if faults.take("smtp_hole_after_data"):
            await asyncio.Event().wait()
        return "250 2.0.0 OK: queued"


class SmtpConnection(SMTP):
    """One client. Tells the ledger all it sends; may show another certificate, or none."""

    line_length_limit = 1001

    def __init__(self, mailbox: Mailbox, tasks: set[SmtpConnection]) -> None:
        faults = mailbox.faults
        context: ssl.SSLContext | None = certificate.own().context
        if faults.take("smtp_other_certificate"):
            context = certificate.another().context
        if faults.take("smtp_strip_starttls"):
            context = None
        handler = SmtpHandler(mailbox)
        super().__init__(
            handler,
            data_size_limit=None,
            hostname="127.0.0.1",
            ident="ESMTP Service Ready",
            tls_context=context,
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],
            authenticator=handler.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._mailbox = mailbox
        self._tasks = tasks
        self.number = next(mailbox.connections)
        self.is_silent = faults.take("smtp_silent")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tasks.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._tasks.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        is_encrypted = self._tls_protocol is not None
        self._mailbox.saw("smtp", self.number, data, is_encrypted=is_encrypted)
        super().data_received(data)

    async def push(self, status: AnyStr) -> None:
        """Answer; with bytes behind the STARTTLS answer when somebody injects them."""
        if self.is_silent:
            await asyncio.Event().wait()
        answer = status.encode("ascii", "replace") if isinstance(status, str) else bytes(status)
        if answer.startswith(b"220 Ready to start") and self._mailbox.faults.take("smtp_inject"):
            answer += b"\r\n250-injected\r\n250 AUTH PLAIN"
        await super().push(answer)

    async def drop(self) -> str:
        """Reset the connection instead of answering."""
        self.reset()
        await asyncio.Event().wait()
        return ""

    def reset(self) -> None:
        """Cut it now."""
        transport = self._original_transport or self.transport
        if transport is not None:
            cast(asyncio.Transport, transport).abort()

    async def ended(self) -> None:
        """After a reset. A handshake that failed tells nobody of its end."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.wait({self._handler_coroutine})
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()


class SmtpServer:
    """Listens on 127.0.0.1."""

    def __init__(self, mailbox: Mailbox, *, implicit_tls: bool = False) -> None:
        self.mailbox = mailbox
        self.port = 0
        self._implicit_tls = implicit_tls
        self._server: asyncio.Server | None = None
        self._connections: set[SmtpConnection] = set()

    async def start(self) -> None:
        """Listen; a restart keeps the port."""
        context = certificate.own().context if self._implicit_tls else None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SmtpConnection(self.mailbox, self._connections),
            "127.0.0.1",
            self.port,
            ssl=context,
            backlog=512,
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Reset every connection; idempotent."""
        if self._server is not None:
            self._server.close()
        self.cut_connections()
        await asyncio.gather(*[connection.ended() for connection in list(self._connections)])
        self._connections.clear()
        self._server = None

    def cut_connections(self) -> None:
        """Reset the connections that are open now."""
        for connection in list(self._connections):
            connection.reset()
