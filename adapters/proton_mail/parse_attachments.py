"""Attachments: recorded with a safe name, a type by their own bytes, size and digest. Their content stays in the raw mail."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import unicodedata
from typing import Final

from adapters.proton_mail.mail import Attachment, decoded
from adapters.proton_mail.parse_charset import header_text, one_line
from adapters.proton_mail.parse_structure import Part

MAX_NAME_CHARS: Final = 120
SNIFFED_BYTES: Final = 8192
UNKNOWN: Final = "application/octet-stream"
_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\.|$)", re.IGNORECASE)


def attachment(raw: bytes, part: Part, number: int) -> Attachment:
    """One part as it is recorded."""
    digest, size, head = hashlib.sha256(), 0, b""
    for piece in decoded(memoryview(raw)[part.start : part.end], part.encoding):
        digest.update(piece)
        size += len(piece)
        head = head + piece[: SNIFFED_BYTES - len(head)] if len(head) < SNIFFED_BYTES else head
    return Attachment(
        name=safe_name(part.filename(), number, part.type),
        type=sniffed(head),
        claimed_type=one_line(part.type)[:100],
        size_bytes=size,
        sha256=digest.hexdigest(),
        start=part.start,
        end=part.end,
        encoding=part.encoding[:40],
        content_id=header_text(part.headers.get("Content-ID", "")).strip("<> ")[:200],
        is_inline=part.disposition != "attachment" and "Content-ID" in part.headers,
    )


def safe_name(name: str, number: int, claimed_type: str) -> str:
    """A name for a file: no path, nothing unseen, no device, not too long. number: for one without a name."""
    text = unicodedata.normalize("NFC", header_text(name))
    text = re.split(r"[\\/]", text)[-1]
    text = _UNSAFE.sub("_", text).strip(" .")
    if not text or _DEVICES.match(text):
        extension = mimetypes.guess_extension(claimed_type) or ".bin"
        text = f"attachment-{number}{extension}" if not text else f"_{text}"
    stem, dot, extension = text.rpartition(".")
    if len(text) > MAX_NAME_CHARS and dot and len(extension) <= 10:
        return f"{stem[: MAX_NAME_CHARS - len(extension) - 1]}.{extension}"
    return text[:MAX_NAME_CHARS]


def sniffed(head: bytes) -> str:
    """The type that the first bytes speak of."""
    if not head:
        return UNKNOWN
    import puremagic  # its tables are read with the first attachment, not by those who have none

    try:
        found = puremagic.from_string(head, mime=True)
    except (puremagic.PureError, ValueError, IndexError, KeyError):
        found = ""
    if found:
        return found
    return "text/plain" if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start >= len(head) - 3 else "\x00"
    return "\x00" not in text
