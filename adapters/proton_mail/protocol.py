"""aioimaplib's client protocol with its four faults mended.

STARTTLS by the loop's own upgrade, refused when anything stands behind the answer; a lost connection wakes whoever
waits; answers are read in a loop, not by recursion, and a literal is collected once instead of copied with each packet;
nothing that is sent or received is logged. Commands go one after the other.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from io import BytesIO
from typing import Any, Final

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]
    AioImapException,
    Command,
    IMAP4ClientProtocol,
    Response,
    quoted,
)

from adapters.proton_mail.faults import not_private

MAX_LINE_BYTES: Final = 32 * 1024 * 1024  # SEARCH over a big mailbox is one line
_LITERAL = re.compile(rb"\{(\d+)\}$")
_STATUS = (b"* OK", b"* NO", b"* BAD", b"* BYE", b"* PREAUTH")

Answer = list[bytes | memoryview]
"""One untagged answer without its star: lines are bytes, literals views of bytes."""

__all__ = ["Answer", "BridgeCommand", "BridgeProtocol", "SenselessAnswer", "quoted"]


class SenselessAnswer(AioImapException):  # type: ignore[misc]
    """What came is not IMAP, or more than we take."""


class BridgeCommand(Command):  # type: ignore[misc]
    """One command; its answers are kept whole. Its repr has no arguments, since one of them may be a password."""

    def __init__(self, name: str, tag: str, *arguments: str, prefix: str | None = None) -> None:
        super().__init__(name, tag, *arguments, prefix=prefix)
        self.answers: list[Answer] = []

    def line(self) -> bytes:
        """As it is sent."""
        words = [self.tag, *([self.prefix.strip()] if self.prefix else []), self.name, *self.args]
        return " ".join(words).encode() + b"\r\n"

    def __repr__(self) -> str:
        return f"{self.tag} {self.name}"

    def fail(self, error: BaseException) -> None:
        """Wake who waits."""
        self._exception = error
        self._event.set()


class BridgeProtocol(IMAP4ClientProtocol):  # type: ignore[misc]
    """One connection. literal_bytes: the longest literal that is taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop, literal_bytes: int) -> None:
        super().__init__(loop)
        self.transport: Any = None
        self.pending_sync_command: BridgeCommand | None = None
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self.failure: BaseException | None = None
        self.news = asyncio.Event()
        self.continued = asyncio.Event()
        self.received = 0
        self._literal_bytes = literal_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._answer: Answer = []
        self._literal: BytesIO | None = None
        self._missing = 0
        self._is_upgrading = False

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        try:
            while self._step():
                pass
        except (AioImapException, ValueError, UnicodeError) as error:
            self.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc or ConnectionResetError("the far side closed the connection"))
        self.transport = None

    def fail(self, error: BaseException) -> None:
        """The connection is of no use any more; whoever waits is told."""
        self.failure = self.failure or error
        if not self.greeting.done():
            self.greeting.set_exception(error)
            self.greeting.exception()  # nobody may be waiting
        if self.pending_sync_command is not None:
            self.pending_sync_command.fail(error)
            self.pending_sync_command = None
        self.news.set()
        self.continued.set()
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self.transport is not None:
            self.transport.abort()

    async def execute(self, command: BridgeCommand, scrub: str | None = None) -> Response:
        """Send it and wait for its end; without a time-out, which is the caller's."""
        if self.failure is not None or self.transport is None:
            raise self.failure or ConnectionResetError("not connected")
        self.pending_sync_command = command
        self.continued.clear()
        self.transport.write(command.line())
        await command.wait()
        return command.response

    async def upgrade(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """STARTTLS. Raises Misconfigured when it is refused or when anything follows the answer in clear."""
        response = await self.execute(BridgeCommand("STARTTLS", self.new_tag()))
        if response.result != "OK":
            raise not_private("imap", "STARTTLS was refused")
        if self._buffer or self._answer:
            raise not_private("imap", "plain bytes stood behind the STARTTLS answer")
        assert self.transport is not None
        self.transport = await self.loop.start_tls(
            self.transport, self, context, server_hostname=server_hostname
        )
        self._is_upgrading = False

    def _step(self) -> bool:
        """Take one line or the rest of a literal. Returns whether there may be more."""
        if self._is_upgrading:
            return False  # whatever stands here came in clear, where nothing may
        if self._literal is not None:
            return self._take_literal(self._literal)
        end = self._buffer.find(b"\r\n", max(0, self._searched - 1))
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE_BYTES:
                raise SenselessAnswer("an endless line")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._searched = 0
        self._take_line(line)
        return True

    def _take_line(self, line: bytes) -> None:
        self._answer.append(line)
        first = bytes(self._answer[0])
        literal = _LITERAL.search(line)
        if literal and first.startswith(b"* ") and not first.startswith(_STATUS):
            self._missing = int(literal[1])
            if self._missing > self._literal_bytes:
                raise SenselessAnswer("a literal beyond the limit")
            self._literal = BytesIO()
            return
        answer, self._answer = self._answer, []
        self._dispatch(answer)

    def _take_literal(self, literal: BytesIO) -> bool:
        piece = self._buffer[: self._missing]
        literal.write(piece)
        del self._buffer[: len(piece)]
        self._missing -= len(piece)
        if self._missing:
            return False
        self._answer.append(memoryview(literal.getvalue()))  # its own buffer: a mail is never held twice
        self._literal = None
        return True

    def _dispatch(self, answer: Answer) -> None:
        first = bytes(answer[0])
        if not self.greeting.done():
            self.greeting.set_result(first)
        elif first.startswith(b"* "):
            self._untagged([first[2:], *answer[1:]])
        elif first.startswith(b"+"):
            self.continued.set()
        elif first:
            self._tagged(first)

    def _untagged(self, answer: Answer) -> None:
        if bytes(answer[0]).endswith((b" EXISTS", b" EXPUNGE")):
            self.news.set()
        if self.pending_sync_command is not None:
            self.pending_sync_command.answers.append(answer)

    def _tagged(self, line: bytes) -> None:
        command = self.pending_sync_command
        tag, _, rest = line.partition(b" ")
        if command is None or tag.decode("ascii", "replace") != command.tag:
            raise SenselessAnswer("an answer to no command")
        result, _, text = rest.partition(b" ")
        if command.name == "STARTTLS":
            self._is_upgrading = True
            self.transport.pause_reading()  # whatever comes from here on belongs to TLS
        self.pending_sync_command = None
        command.close(text, result=result.decode("ascii", "replace").upper())
        self.continued.set()
