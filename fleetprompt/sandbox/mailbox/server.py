"""The sandbox mailbox: its Python API for tests and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from fleetprompt.sandbox.loopback import LoopbackServer
from fleetprompt.sandbox.mailbox import certificate
from fleetprompt.sandbox.mailbox.control import Control
from fleetprompt.sandbox.mailbox.imap_server import ImapServer
from fleetprompt.sandbox.mailbox.mailbox import Mailbox
from fleetprompt.sandbox.mailbox.records import INBOX, PASSWORD, Account, StoredMail, Submission, WireBytes
from fleetprompt.sandbox.mailbox.smtp_server import SmtpServer


class SandboxMailbox:
    """A Bridge on loopback: IMAP, SMTP, and a control API over HTTP. All in memory; ports are chosen by the system.

    implicit_tls: TLS from the first byte instead of STARTTLS.
    """

    def __init__(self, port: int = 0, *, implicit_tls: bool = False) -> None:
        self.mailbox = Mailbox()
        self.imap = ImapServer(self.mailbox, implicit_tls=implicit_tls)
        self.smtp = SmtpServer(self.mailbox, implicit_tls=implicit_tls)
        self.http = LoopbackServer(Control(self), port)

    @property
    def url(self) -> str:
        """Where the control API is."""
        return self.http.url

    @property
    def certificate_pem(self) -> str:
        """What one exports from Bridge, to be pinned."""
        return certificate.own().pem

    @property
    def submissions(self) -> Sequence[Submission]:
        """Every mail that SMTP took, in order."""
        return self.mailbox.submissions

    @property
    def wire(self) -> Sequence[WireBytes]:
        """Every byte that clients sent, in order."""
        return self.mailbox.wire

    def plain_bytes(self) -> bytes:
        """All that came outside TLS."""
        return b"".join(piece.data for piece in self.wire if not piece.is_encrypted)

    async def start(self) -> None:
        """Listen."""
        await self.imap.start()
        await self.smtp.start()
        await self.http.start()

    async def stop(self) -> None:
        """Cut all connections; idempotent."""
        await self.imap.stop()
        await self.smtp.stop()
        await self.http.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def create_account(self, address: str, password: str = PASSWORD, aliases: Sequence[str] = ()) -> Account:
        """An account; the existing one when the address is known."""
        return self.mailbox.create_account(address, password, aliases)

    def account(self, address: str) -> Account:
        """Raises ValueError when there is none."""
        found = next((one for one in self.mailbox.accounts.values() if one.owns(address)), None)
        if found is None:
            raise ValueError(f"no account {address}")
        return found

    def deliver(
        self,
        address: str,
        raw: bytes,
        folders: Sequence[str] = (INBOX,),
        *,
        seen: bool = False,
        received_at_s: float | None = None,
        with_internal_id: bool = True,
    ) -> StoredMail:
        """A mail comes in for an account."""
        return self.mailbox.deliver(
            self.account(address),
            raw,
            folders,
            seen=seen,
            received_at_s=received_at_s,
            with_internal_id=with_internal_id,
        )

    def mails(self, address: str, folder: str = INBOX) -> list[StoredMail]:
        """What stands in a folder."""
        return [entry.mail for entry in self.mailbox.folder(self.account(address), folder).entries]

    def arm(self, fault: str, count: int = 1) -> None:
        """Let something go wrong; see `faults`. Those in IDLE meet theirs at once."""
        self.mailbox.faults.arm(fault, count)
        self.mailbox.wake()

    def poison(self, mail_id: str, how: str) -> None:
        """Fetching this mail goes wrong each time; see `faults.POISONS`."""
        self.mailbox.faults.poison(mail_id, how)

    def faults_used(self, fault: str) -> int:
        """How often a fault, or a poison, did its harm."""
        return self.mailbox.faults.used[fault]

    def clear_faults(self) -> None:
        """Disarm what is left."""
        self.mailbox.faults.clear()

    def cut_connections(self) -> None:
        """Reset all mail connections now."""
        self.imap.cut_connections()
        self.smtp.cut_connections()

    def rebuild(self, address: str) -> None:
        """UIDVALIDITY rises in every folder."""
        self.mailbox.rebuild(self.account(address))

    def skip(self, seconds: float) -> None:
        """Move the sandbox's clock."""
        self.mailbox.skew_s += seconds

    def slow_down(self, delay_s: float) -> None:
        """Answer each IMAP command so much later."""
        self.mailbox.delay_s = delay_s
