"""What the sandbox keeps: accounts, folders, mails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

ALL_MAIL: Final = "All Mail"
SENT: Final = "Sent"
INBOX: Final = "INBOX"
PASSWORD: Final = "sandboxsecret-of-bridge"  # noqa: S105 - unless another one is asked for
FOLDERS: Final = (INBOX, "Drafts", SENT, "Starred", "Archive", "Spam", "Trash", ALL_MAIL, "Folders", "Labels")


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One mail. received_at_s: unix seconds, as INTERNALDATE tells it."""

    id: str
    raw: bytes
    received_at_s: int


@dataclass(slots=True)
class Entry:
    """A mail's place in one folder."""

    uid: int
    mail: StoredMail
    seen: bool = False


@dataclass(slots=True)
class Folder:
    """One folder with its own numbering."""

    name: str
    uid_validity: int
    uid_next: int = 1
    entries: list[Entry] = field(default_factory=list)

    def add(self, mail: StoredMail, *, seen: bool = False) -> Entry:
        """Put a mail in, under the next UID."""
        entry = Entry(self.uid_next, mail, seen)
        self.uid_next += 1
        self.entries.append(entry)
        return entry

    def rebuild(self) -> None:
        """As after a rebuilt mailbox: another UIDVALIDITY, and every UID anew."""
        self.uid_validity += 1
        self.uid_next = 1
        for entry in self.entries:
            entry.uid = self.uid_next
            self.uid_next += 1


@dataclass(slots=True)
class Account:
    """One user of the Bridge. Every address of it is a user name, with one password."""

    addresses: tuple[str, ...]
    password: str
    folders: dict[str, Folder]

    @property
    def address(self) -> str:
        """The first one."""
        return self.addresses[0]

    def owns(self, address: str) -> bool:
        """Whether it may log in, and send, as this address."""
        return address.lower() in (own.lower() for own in self.addresses)

    def mails(self) -> Iterator[StoredMail]:
        """All mails, oldest first."""
        return (entry.mail for entry in self.folders[ALL_MAIL].entries)


@dataclass(frozen=True, slots=True)
class Submission:
    """One mail that SMTP took, in order of arrival; never changed afterwards.

    raw: the bytes of the DATA command, as they came. sent: what left for the recipients, None when it was suppressed as
    a duplicate of one sent in the last 30 minutes.
    """

    arrival: int
    account: str
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    raw: bytes
    sent: bytes | None


@dataclass(frozen=True, slots=True)
class WireBytes:
    """Bytes that a client sent. protocol: imap or smtp. is_encrypted: they came inside TLS."""

    protocol: str
    connection: int
    is_encrypted: bool
    data: bytes
