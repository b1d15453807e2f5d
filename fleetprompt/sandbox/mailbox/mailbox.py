"""The sandbox's state: accounts with folders, what was sent, and the bytes that clients sent."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Sequence

from fleetprompt.sandbox.mailbox import bridge
from fleetprompt.sandbox.mailbox.faults import MailFaults
from fleetprompt.sandbox.mailbox.records import (
    ALL_MAIL,
    FOLDERS,
    INBOX,
    SENT,
    Account,
    Folder,
    StoredMail,
    Submission,
    WireBytes,
)

DUPLICATES_S = 30 * 60


class Mailbox:
    """All accounts of one Bridge. skew_s: moves its clock."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.submissions: list[Submission] = []
        self.wire: list[WireBytes] = []
        self.faults = MailFaults()
        self.skew_s = 0.0
        self.delay_s = 0.0
        self.connections = itertools.count(1)
        self._sent_lately: dict[str, float] = {}
        self._news = asyncio.Event()

    def now_s(self) -> float:
        """The sandbox's clock, unix seconds."""
        return time.time() + self.skew_s

    def create_account(self, address: str, password: str, aliases: Sequence[str] = ()) -> Account:
        """An account with Bridge's folders; the existing one when the address is known."""
        if address not in self.accounts:
            validity = 1_000_000 + len(self.accounts)
            folders = {name: Folder(name, validity) for name in FOLDERS}
            self.accounts[address] = Account((address, *aliases), password, folders)
        return self.accounts[address]

    def log_in(self, user: str, password: str) -> Account | None:
        """The account of any of its addresses."""
        owners = (account for account in self.accounts.values() if account.owns(user))
        return next((account for account in owners if account.password == password), None)

    def deliver(
        self,
        account: Account,
        raw: bytes,
        folders: Sequence[str] = (INBOX,),
        *,
        seen: bool = False,
        received_at_s: float | None = None,
        with_internal_id: bool = True,
    ) -> StoredMail:
        """A mail comes in; it stands in All Mail too."""
        mail_id = uuid.uuid4().hex + uuid.uuid4().hex
        if with_internal_id:
            raw = f"{bridge.INTERNAL_ID}: {mail_id}==\r\n".encode() + raw
        mail = StoredMail(mail_id, raw, int(self.now_s() if received_at_s is None else received_at_s))
        for name in (*folders, ALL_MAIL):
            self.folder(account, name).add(mail, seen=seen)
        self.wake()
        return mail

    def folder(self, account: Account, name: str) -> Folder:
        """The folder, made when it is a label or folder of one's own. INBOX in any letter case."""
        name = INBOX if name.upper() == INBOX else name
        if name not in account.folders:
            account.folders[name] = Folder(name, account.folders[INBOX].uid_validity)
        return account.folders[name]

    def submit(self, account: Account, sender: str, recipients: Sequence[str], raw: bytes) -> Submission:
        """Send, unless the same was sent in the last 30 minutes; the copy is filed to Sent."""
        key = bridge.duplicate_key(raw, recipients)
        now_s = self.now_s()
        is_duplicate = now_s - self._sent_lately.get(key, float("-inf")) < DUPLICATES_S
        sent = None if is_duplicate else bridge.rewritten(raw, recipients, account.mails(), now_s)
        if sent is not None:
            self._sent_lately[key] = now_s
            self.deliver(account, sent, [SENT], seen=True)
            self._pass_on(recipients, sent)
        submission = Submission(
            len(self.submissions) + 1,
            account.address,
            sender,
            tuple(recipients),
            bridge.header(raw, "Message-ID"),
            raw,
            sent,
        )
        self.submissions.append(submission)
        return submission

    def _pass_on(self, recipients: Sequence[str], sent: bytes) -> None:
        """Into the mailboxes of those who live here too."""
        for recipient in recipients:
            for account in self.accounts.values():
                if account.owns(recipient):
                    self.deliver(account, sent)

    def rebuild(self, account: Account) -> None:
        """UIDVALIDITY rises everywhere."""
        for folder in account.folders.values():
            folder.rebuild()
        self.wake()

    def saw(self, protocol: str, connection: int, data: bytes, *, is_encrypted: bool) -> None:
        """Append to the ledger of bytes."""
        self.wire.append(WireBytes(protocol, connection, is_encrypted, data))

    def wake(self) -> None:
        """Let those in IDLE look."""
        self._news.set()
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set at the next change."""
        return self._news
