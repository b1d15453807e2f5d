"""IMAP as Bridge speaks it, on asyncio streams.

A server of our own: the faults need the bare connection (a literal cut in the middle, plain bytes behind the STARTTLS
answer, a peer that is silently gone), and Bridge's exact words, which a library's server does not let one choose.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final, cast

from fleetprompt.sandbox.mailbox import certificate
from fleetprompt.sandbox.mailbox.imap_commands import ImapCommands
from fleetprompt.sandbox.mailbox.imap_parse import BadCommand, Refusal
from fleetprompt.sandbox.mailbox.mailbox import Mailbox

MAX_BAD_COMMANDS: Final = 20
LINE_LIMIT: Final = 1 << 20
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class ImapConnection:
    """One client from its greeting to its end."""

    def __init__(
        self, mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, encrypted: bool
    ) -> None:
        self.mailbox = mailbox
        self.number = next(mailbox.connections)
        self.is_encrypted = encrypted
        self.offers_starttls = not encrypted and not mailbox.faults.take("imap_strip_starttls")
        self.offers_idle = not mailbox.faults.take("imap_no_idle")
        self._reader = reader
        self._writer = writer
        self._bad = 0

    async def serve(self) -> None:
        """Answer until the client goes."""
        if self.mailbox.faults.take("imap_silent"):
            await self.vanish()
        if self.mailbox.faults.take("imap_preauth"):
            await self.write(b"* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
        else:
            await self.write(
                b"* OK [CAPABILITY %s] Proton Mail Bridge 03.21.02 ready\r\n" % self.capabilities()
            )
        commands = ImapCommands(self)
        while self._bad < MAX_BAD_COMMANDS and not commands.is_over:
            line = await self.read_line()
            if not line:
                return
            await self._answer(commands, line)
        if self._bad >= MAX_BAD_COMMANDS:
            await self.write(b"* BYE too many invalid commands\r\n")

    async def _answer(self, commands: ImapCommands, line: bytes) -> None:
        if self.mailbox.delay_s:
            await asyncio.sleep(self.mailbox.delay_s)
        tag, _, rest = line.strip().partition(b" ")
        try:
            await commands.carry_out(tag, rest)
            self._bad = 0
        except Refusal as refusal:
            await self.write(tag + b" NO " + str(refusal).encode() + b"\r\n")
        except (BadCommand, ValueError, IndexError) as error:
            self._bad += 1
            await self.write(tag + b" BAD " + str(error).encode("ascii", "replace") + b"\r\n")

    def capabilities(self) -> bytes:
        """What Bridge offers: no CONDSTORE, no LITERAL+, no SPECIAL-USE."""
        names = ["IMAP4rev1", "UNSELECT", "UIDPLUS", "MOVE", "ID"]
        if self.offers_starttls:
            names.insert(1, "STARTTLS")
        if self.offers_idle:
            names.insert(1, "IDLE")
        return " ".join(names).encode()

    async def read_line(self) -> bytes:
        """A command with its literals put in as quoted strings; b"" at the end."""
        line = await self._reader.readline()
        self.mailbox.saw("imap", self.number, line, is_encrypted=self.is_encrypted)
        while literal := _LITERAL.search(line):
            await self.write(b"+ Ready\r\n")
            data = await self._reader.readexactly(int(literal[1]))
            tail = await self._reader.readline()
            self.mailbox.saw("imap", self.number, data + tail, is_encrypted=self.is_encrypted)
            escaped = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            line = line[: literal.start()] + b'"' + escaped + b'"' + tail
        return line

    async def write(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)
        await self._writer.drain()

    async def start_tls(self, tag: bytes) -> None:
        """Upgrade; what a client sent in clear behind its command is thrown away, as Bridge does."""
        faults = self.mailbox.faults
        injected = b"* OK [ALERT] injected\r\n" if faults.take("imap_inject") else b""
        await self.write(tag + b" OK Begin TLS negotiation now\r\n" + injected)
        is_other = faults.take("imap_other_certificate")
        shown = certificate.another() if is_other else certificate.own()
        await self._writer.start_tls(shown.context)
        self.is_encrypted, self.offers_starttls = True, False

    def cut(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()
        raise ConnectionResetError("cut on command")

    async def vanish(self) -> None:
        """Read nothing and write nothing any more, as behind a dead tunnel."""
        with contextlib.suppress(RuntimeError):
            cast(asyncio.Transport, self._writer.transport).pause_reading()
        await asyncio.Event().wait()


class ImapServer:
    """Listens on 127.0.0.1."""

    def __init__(self, mailbox: Mailbox, *, implicit_tls: bool = False) -> None:
        self.mailbox = mailbox
        self.port = 0
        self._implicit_tls = implicit_tls
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        """Listen; a restart keeps the port."""
        context = certificate.own().context if self._implicit_tls else None
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, limit=LINE_LIMIT, ssl=context, backlog=512
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Reset every connection; idempotent."""
        if self._server is not None:
            self._server.close()
        self.cut_connections()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    def cut_connections(self) -> None:
        """Reset the connections that are open now."""
        for task, writer in self._tasks.items():
            writer.transport.abort()
            task.cancel()

    @property
    def open_connections(self) -> int:
        """How many clients are there."""
        return len(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        connection = ImapConnection(self.mailbox, reader, writer, encrypted=self._implicit_tls)
        try:
            await connection.serve()
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            del self._tasks[task]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
