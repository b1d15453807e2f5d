"""One IMAP connection to Bridge: connect, be private, log in, look, fetch, wait.

After a fault or a time-out the connection is dropped: a late answer would be taken for that of the next command.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import AdapterError, FarSideFailed, Misconfigured, TimedOut, Unreachable
from adapters.proton_mail.faults import CHECK_ADDRESS, IMAP_ERRORS, login_refused, not_private, translate
from adapters.proton_mail.imap_words import (
    Envelope,
    body_of,
    envelope_of,
    folder_name,
    mailbox_name,
    text_of,
    uid_set,
)
from adapters.proton_mail.protocol import Answer, BridgeCommand, BridgeProtocol, quoted
from adapters.proton_mail.settings import ProtonMailSettings, Tls

SLACK_BYTES: Final = 64 * 1024
_LIST = re.compile(rb'^LIST \([^)]*\) (?:"[^"]*"|NIL) (.*)$', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as it is now."""

    uid_validity: int
    uid_next: int


class RefusedByServer(FarSideFailed):
    """NO or BAD to a command without effect."""


class ImapConnection:
    """Logged in. Not to be used by two tasks at once."""

    def __init__(self, settings: ProtonMailSettings, protocol: BridgeProtocol) -> None:
        self._settings = settings
        self._pace = settings.pace
        self._protocol = protocol
        self._capabilities: set[str] = set()

    @property
    def offers_idle(self) -> bool:
        """It may be switched off remotely."""
        return "IDLE" in self._capabilities

    @property
    def greeting(self) -> str:
        """How the server names itself."""
        return self._protocol.greeting.result().decode("ascii", "replace")[:120]

    def drop(self) -> None:
        """End it at once; whoever waits gets Unreachable."""
        self._protocol.fail(ConnectionResetError("dropped by us"))

    async def close(self) -> None:
        """Say goodbye when that is possible, and be gone."""
        with suppress(AdapterError):
            if self._protocol.failure is None:
                async with asyncio.timeout(1):
                    await self._run("LOGOUT")
        self.drop()
        await asyncio.sleep(0)

    async def examine(self, folder: str) -> Selected:
        """Select for reading: no mail is marked as read by us. Raises Misconfigured without such a folder."""
        try:
            answers = await self._run("EXAMINE", mailbox_name(folder))
        except RefusedByServer as error:
            raise Misconfigured(
                f"there is no folder {folder!r}",
                advice="Name it as the mail client shows it, such as Folders/Support.",
            ) from error
        text = b"\n".join(bytes(answer[0]) for answer in answers)
        validity = re.search(rb"\[UIDVALIDITY (\d+)\]", text)
        following = re.search(rb"\[UIDNEXT (\d+)\]", text)
        if validity is None or following is None:
            raise FarSideFailed("imap: a folder without UIDVALIDITY and UIDNEXT")
        return Selected(int(validity[1]), int(following[1]))

    async def search(self, *criteria: str) -> list[int]:
        """The UIDs that fit, rising."""
        found: set[int] = set()
        for answer in await self._run("SEARCH", *criteria, by_uid=True):
            words = bytes(answer[0]).split()
            if words and words[0].upper() == b"SEARCH":
                found.update(int(word) for word in words[1:] if word.isdigit())
        return sorted(found)

    async def envelopes(self, uids: Sequence[int]) -> list[Envelope]:
        """Size and date of each, rising; what was expunged meanwhile is left out."""
        answers = await self._run("FETCH", uid_set(uids), "(UID INTERNALDATE RFC822.SIZE)", by_uid=True)
        found = {one.uid: one for answer in answers if (one := envelope_of(answer)) is not None}
        return [found[uid] for uid in sorted(found) if uid in set(uids)]

    async def fetch(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The mails' bytes. Raises RefusedByServer."""
        return await self._bodies(uids, "BODY.PEEK[]")

    async def fetch_beginning(self, uid: int, count: int) -> bytes:
        """The first bytes of a mail that is too long. Raises RefusedByServer, and KeyError when it is not there."""
        return (await self._bodies([uid], f"BODY.PEEK[]<0.{count}>"))[uid]

    async def folders(self) -> list[str]:
        """All folders, as they are written in settings."""
        names = []
        for answer in await self._run("LIST", '""', '"*"'):
            found = _LIST.match(bytes(answer[0]))
            if found:
                last = bytes(answer[1]) if len(answer) > 1 else found[1]
                names.append(folder_name(last))
        return names

    async def noop(self) -> None:
        """Ask whether it is still there."""
        await self._run("NOOP")

    async def idle(self, seconds: float) -> None:
        """Wait for news of the folder, at most so long; the connection has answered when this returns."""
        protocol = self._protocol
        protocol.news.clear()
        protocol.continued.clear()
        command = BridgeCommand("IDLE", protocol.new_tag())
        waiting = asyncio.ensure_future(protocol.execute(command))
        try:
            async with asyncio.timeout(self._pace.answer_timeout_s):
                await protocol.continued.wait()
            if not waiting.done() and protocol.failure is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await protocol.news.wait()
                if protocol.transport is not None:
                    protocol.transport.write(b"DONE\r\n")
            async with asyncio.timeout(self._pace.idle_end_s):
                response = await waiting
        except IMAP_ERRORS as error:
            raise self._gone(error) from error
        finally:
            if not waiting.done():
                waiting.cancel()
                self.drop()
        if response.result != "OK":
            self._capabilities.discard("IDLE")
        await self.noop()

    async def _bodies(self, uids: Sequence[int], item: str) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for answer in await self._run("FETCH", uid_set(uids), f"(UID {item})", by_uid=True):
            text = text_of(answer)
            uid = re.search(r"\bUID (\d+)", text)
            if uid and "BODY[" in text:
                found[int(uid[1])] = body_of(answer)
        return found

    async def log_in(self) -> None:
        """Raises CredentialRefused."""
        settings = self._settings
        try:
            await self._run("LOGIN", quoted(settings.username), quoted(settings.password))
        except RefusedByServer as error:
            if "UNAVAILABLE" in error.detail:
                raise
            raise login_refused("imap") from None
        await self.ask_capabilities()

    async def ask_capabilities(self) -> set[str]:
        """What is offered now."""
        answers = [
            bytes(answer[0]).decode("ascii", "replace").upper().split()
            for answer in await self._run("CAPABILITY")
        ]
        self._capabilities = {word for words in answers if words[:1] == ["CAPABILITY"] for word in words[1:]}
        return self._capabilities

    async def _run(self, name: str, *arguments: str, by_uid: bool = False) -> list[Answer]:
        """Carry out one command. Raises RefusedByServer for NO and BAD, and what `faults` makes of the rest."""
        command = BridgeCommand(name, self._protocol.new_tag(), *arguments, prefix="UID" if by_uid else None)
        try:
            response = await self._patiently(command)
        except IMAP_ERRORS as error:
            raise self._gone(error) from None  # the library's errors name the command
        if response.result != "OK":
            words = bytes(response.lines[-1])[:40].decode("ascii", "replace") if response.lines else ""
            why = " [UNAVAILABLE]" if "[UNAVAILABLE]" in words else ""
            raise RefusedByServer(f"imap: {response.result} to {name}{why}")
        return command.answers

    async def _patiently(self, command: BridgeCommand) -> Any:
        """A big mail may take its time as long as bytes come."""
        loop = asyncio.get_running_loop()
        over_at = loop.time() + self._pace.command_most_s
        waiting = asyncio.ensure_future(self._protocol.execute(command))
        try:
            while True:
                received = self._protocol.received
                await asyncio.wait({waiting}, timeout=self._pace.answer_timeout_s)
                if waiting.done():
                    return waiting.result()
                if self._protocol.received == received or loop.time() > over_at:
                    raise TimedOut(f"imap: no answer to {command.name} in time")
        finally:
            if not waiting.done():
                waiting.cancel()
                self.drop()

    def _gone(self, error: BaseException) -> AdapterError:
        self.drop()
        return translate(error, "imap")


async def connect(settings: ProtonMailSettings) -> ImapConnection:
    """Connect, be private, log in. No credential is sent before TLS stands with the pinned certificate."""
    context = settings.verified()
    loop = asyncio.get_running_loop()
    protocol = BridgeProtocol(loop, settings.limits.mail_bytes + SLACK_BYTES)
    connection = ImapConnection(settings, protocol)
    try:
        async with asyncio.timeout(settings.pace.connect_timeout_s):
            is_implicit = settings.tls == Tls.IMPLICIT
            await loop.create_connection(
                lambda: protocol,
                settings.host,
                settings.imap_port,
                ssl=context if is_implicit else None,
                server_hostname=settings.certificate_host if is_implicit else None,
            )
            _check_greeting(await protocol.greeting)
            if not is_implicit:
                if "STARTTLS" not in await connection.ask_capabilities():
                    raise not_private("imap", "STARTTLS is not offered")
                await protocol.upgrade(context, settings.certificate_host)
        await connection.log_in()
    except IMAP_ERRORS as error:
        connection.drop()
        raise translate(error, "imap") from None
    except BaseException:
        connection.drop()
        raise
    return connection


def _check_greeting(greeting: bytes) -> None:
    if greeting.startswith(b"* PREAUTH"):
        raise not_private("imap", "the server says that we are logged in already (PREAUTH)")
    if greeting.startswith(b"* BYE"):
        raise Unreachable("imap: the server hangs up")
    if not greeting.startswith(b"* OK"):
        raise Misconfigured("imap: this address does not answer as an IMAP server", advice=CHECK_ADDRESS)
