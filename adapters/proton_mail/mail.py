"""What a parsed mail is: plain values, the same on both sides of the parser's pipe (as JSON)."""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

CHUNK_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. address: in lower case. name: for display alone; proves nothing."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment: a slice of the raw mail (`content` decodes it). size_bytes, sha256: of the decoded content.

    name: made safe for a file. type: by its first bytes, else "application/octet-stream". claimed_type: as the mail says.
    """

    name: str
    type: str
    claimed_type: str
    size_bytes: int
    sha256: str
    start: int
    end: int
    encoding: str = ""
    content_id: str = ""
    is_inline: bool = False

    def content(self, raw: bytes) -> Iterator[bytes]:
        """Its decoded content in pieces, from the raw mail that it was found in."""
        return decoded(memoryview(raw)[self.start : self.end], self.encoding)


@dataclass(frozen=True, slots=True)
class SenderTrust:
    """What is known of the sender, as data: it decides nothing alone.

    verdict: "pass" or "fail" as Proton asserts it, "conflicting" when its copies disagree, else "unverified". imitates:
    an address in the display name that is not the sender's. reply_elsewhere: Reply-To is of another domain.
    """

    verdict: str = "unverified"
    spf: str = ""
    dkim: str = ""
    dmarc: str = ""
    from_headers: int = 1
    imitates: str = ""
    reply_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail of ours did not arrive, or is late. message_ids: of the mail concerned, forgeable: compare with one's own.

    form: "report" (RFC 3464) or "text". is_permanent: it will not be tried again. from_mailer: it has no return path, or
    says that a mail server wrote it; people's mails never do.
    """

    form: str
    is_permanent: bool
    recipients: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    status: str = ""
    from_mailer: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, readable. Every text is free of NUL and lone surrogates.

    text: all that a person would see, with the quoted history. reply: what the sender newly wrote, a hint that is wrong
    now and then and never empty when text is not; quoted: the rest. never_answer: why no machine may answer; () = it may.
    message_id, in_reply_to, references: as they came, with their angle brackets. internal_id: Proton's, "" without it.
    body_sha256: of the bytes behind the headers. sent_at_ms: the Date header, 0 without one. delivered_to: addresses
    that the envelope named. undecrypted: Bridge could not read it. notes: what was odd and mended.
    """

    message_id: str = ""
    internal_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    subject: str = ""
    sent_at_ms: int = 0
    senders: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    delivered_to: tuple[str, ...] = ()
    text: str = ""
    reply: str = ""
    quoted: str = ""
    attachments: tuple[Attachment, ...] = ()
    never_answer: tuple[str, ...] = ()
    trust: SenderTrust = field(default_factory=SenderTrust)
    bounce: Bounce | None = None
    body_sha256: str = ""
    undecrypted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sender(self) -> Address:
        """The first in From; an empty address without one."""
        return self.senders[0] if self.senders else Address("")

    def as_json(self) -> dict[str, Any]:
        """For the pipe. Parts of the text are places in it."""
        told = fields_of(self)
        for name in ("reply", "quoted"):
            told[name] = _place_in(self.text, told[name])
        for name in ("senders", "reply_to", "to", "cc", "attachments"):
            told[name] = [fields_of(one) for one in told[name]]
        return {**told, "trust": fields_of(self.trust), "bounce": self.bounce and fields_of(self.bounce)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Mail:
        """The other way round."""
        read = dict(value)
        for name in ("reply", "quoted"):
            if not isinstance(read[name], str):
                start, end = read[name]
                read[name] = read["text"][start:end]
        for name in ("senders", "reply_to", "to", "cc"):
            read[name] = tuple(Address(**one) for one in read[name])
        for name in ("in_reply_to", "references", "delivered_to", "never_answer", "notes"):
            read[name] = tuple(read[name])
        read["attachments"] = tuple(Attachment(**one) for one in read["attachments"])
        read["trust"] = SenderTrust(**read["trust"])
        if read["bounce"] is not None:
            found = read["bounce"]
            names = {name: tuple(found[name]) for name in ("recipients", "message_ids")}
            read["bounce"] = Bounce(**{**found, **names})
        return cls(**read)


def _place_in(text: str, part: str) -> str | list[int]:
    start = -1 if not part else 0 if text.startswith(part) else text.find(part)
    return part if start < 0 else [start, start + len(part)]


def fields_of(value: Address | Attachment | SenderTrust | Bounce | Mail) -> dict[str, Any]:
    """As it is, by name; `asdict` copies everything in it."""
    names, read = _READERS[type(value)]
    return dict(zip(names, read(value), strict=True))


_READERS: Final[dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]]] = {
    kind: (kind.__slots__, attrgetter(*kind.__slots__))
    for kind in (Address, Attachment, SenderTrust, Bounce, Mail)
}


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a mail was set aside. reason: a word; detail: a sentence without anything of the mail itself."""

    reason: str
    detail: str


def decoded(body: memoryview, encoding: str) -> Iterator[bytes]:
    """A part's content in pieces; what is no valid base64 is left out, as mail clients do."""
    if encoding == "base64":
        yield from _from_base64(body)
    elif encoding == "quoted-printable":
        yield quopri.decodestring(bytes(body))
    elif encoding in ("x-uuencode", "uuencode", "uue", "x-uue"):
        yield _from_uuencode(bytes(body))
    else:
        for start in range(0, len(body), CHUNK_BYTES):
            yield bytes(body[start : start + CHUNK_BYTES])


_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64: Final = bytes(set(range(256)) - set(_ALPHABET))


def _from_base64(body: memoryview) -> Iterator[bytes]:
    """Padding in the middle is passed over; a lone character at the end is dropped."""
    rest = b""
    for start in range(0, len(body), CHUNK_BYTES):
        digits = rest + bytes(body[start : start + CHUNK_BYTES]).translate(None, _NOT_BASE64)
        whole = len(digits) - len(digits) % 4
        rest = digits[whole:]
        yield base64.b64decode(digits[:whole])
    if len(rest) > 1:
        yield base64.b64decode(rest + b"=" * (-len(rest) % 4))


def _from_uuencode(body: bytes) -> bytes:
    pieces = []
    for line in body.splitlines():
        if line.startswith((b"begin ", b"end")) or not line:
            continue
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(pieces)
