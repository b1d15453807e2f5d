"""A fetched mail as the contract tells it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from adapters.proton_mail.mail import Mail, Quarantine, fields_of
from adapters.proton_mail.settings import ProtonMailSettings

MAX_KEY_CHARS = 120


@dataclass(frozen=True, slots=True)
class MailReceived(Inbound):
    """One mail. author.id and place.channel_id: the sender's address ("" without one), which anybody can write into a mail.

    external_id: its Message-ID. place.thread_id: the root of the thread as the mail names it, forgeable. text: all that
    is seen. addressed: a machine may answer it. raw: as it was fetched; of one that is too long, its beginning.
    quarantine: why it was set aside; then nothing may answer it. mail: None when it could not be read at all.
    """

    mail: Mail | None = None
    quarantine: Quarantine | None = None
    folder: str = ""
    received_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A mail as it came. size_bytes: as the server says; raw may be its beginning alone."""

    folder: str
    uid_validity: int
    uid: int
    received_at_ms: int
    raw: bytes
    size_bytes: int


def received(fetched: Fetched, read: Mail | Quarantine, settings: ProtonMailSettings) -> MailReceived:
    """The event; its cursor is the listener's affair."""
    if isinstance(read, Quarantine):
        return _set_aside(fetched, read)
    own = settings.own_addresses
    author = Author(read.sender.address, _author_kind(fetched, read, settings), read.sender.name)
    others = _others(read, own)
    is_named = bool({one.address for one in (*read.to, *read.cc)} & set(own))
    unread = Quarantine("undecrypted", "Bridge could not decrypt it.") if read.undecrypted else None
    return MailReceived(
        kind=EventKind.MESSAGE,
        event_key=_event_key(fetched, read),
        external_id=read.message_id or _nameless(fetched),
        author=author,
        place=Place(
            read.sender.address, "group" if others else "direct", _thread_id(read), read.subject[:200]
        ),
        text=read.text,
        sent_at_ms=fetched.received_at_ms,
        addressed=author.kind is AuthorKind.PERSON and not read.never_answer and unread is None,
        raw=fetched.raw,
        cursor=Cursor(""),
        mentions_us=bool(others) and is_named,
        attachments=tuple(map(fields_of, read.attachments)),
        mail=read,
        quarantine=unread,
        folder=fetched.folder,
        received_at_ms=fetched.received_at_ms,
    )


def _set_aside(fetched: Fetched, why: Quarantine) -> MailReceived:
    """No word of it is trusted to be anything."""
    return MailReceived(
        kind=EventKind.MESSAGE,
        event_key=f"mail:quarantine:{_digest(fetched)}",
        external_id=_nameless(fetched),
        author=Author("", AuthorKind.SYSTEM),
        place=Place("", "direct"),
        text="",
        sent_at_ms=fetched.received_at_ms,
        addressed=False,
        raw=fetched.raw,
        cursor=Cursor(""),
        quarantine=why,
        folder=fetched.folder,
        received_at_ms=fetched.received_at_ms,
    )


def live(event: MailReceived, cursor: Cursor, *, caught_up: bool) -> MailReceived:
    """With its cursor."""
    return replace(event, cursor=cursor, caught_up=caught_up)


def _author_kind(fetched: Fetched, mail: Mail, settings: ProtonMailSettings) -> AuthorKind:
    """Ours is what stands in Sent, where Bridge alone files; a From with our address anybody can write."""
    if fetched.folder == settings.sent_folder:
        return AuthorKind.SELF
    return AuthorKind.SYSTEM if mail.bounce is not None else AuthorKind.PERSON


def _others(mail: Mail, own: tuple[str, ...]) -> set[str]:
    """Whom it went to beside us."""
    return {one.address for one in (*mail.to, *mail.cc)} - set(own) - {mail.sender.address}


def _thread_id(mail: Mail) -> str:
    return next(iter((*mail.references, *mail.in_reply_to)), "")


def _event_key(fetched: Fetched, mail: Mail) -> str:
    """The same for the same mail in another folder, or under another UID; different for another body."""
    if mail.internal_id:
        return f"mail:internal:{mail.internal_id[:MAX_KEY_CHARS]}"
    if not mail.message_id:
        return f"mail:bytes:{_digest(fetched)}"
    name = hashlib.sha256(mail.message_id.encode("utf-8", "replace")).hexdigest()[:32]
    return f"mail:id:{name}:{mail.body_sha256[:32]}"


def _digest(fetched: Fetched) -> str:
    if not fetched.raw:
        return (
            f"{fetched.uid_validity}:{fetched.uid}:{hashlib.sha256(fetched.folder.encode()).hexdigest()[:8]}"
        )
    return hashlib.sha256(fetched.raw).hexdigest()


def _nameless(fetched: Fetched) -> str:
    return f"<{_digest(fetched)[:40]}@no-message-id.invalid>"
