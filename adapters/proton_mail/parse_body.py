"""A mail's body as text: which parts are read, which are attachments, what is hidden or cannot be read."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from typing import Final

from adapters.proton_mail.mail import Attachment, decoded
from adapters.proton_mail.parse_attachments import attachment
from adapters.proton_mail.parse_charset import clean_text, to_text
from adapters.proton_mail.parse_forwarded import forwarded
from adapters.proton_mail.parse_html import Page, squeezed_lines
from adapters.proton_mail.parse_reply import split_reply
from adapters.proton_mail.parse_structure import Part
from adapters.proton_mail.settings import MailLimits

# What Bridge writes (its pkg/message/build_custom.go): the armour is the whole body, and its comment says why. A person
# who speaks of decrypting, or quotes such a mail, wants an answer.
_UNDECRYPTED = re.compile(
    r"\s*(?:-----BEGIN PGP MESSAGE-----|This message could not be decrypted(?:[.:][^\n]*)?\s*\Z)"
)
_ENCRYPTED_NAMES: Final = ("encrypted.asc", "message.asc", "smime.p7m")
MUCH_SHORTER: Final = 5  # a plain version that is so much shorter than the HTML says "open this in a browser"
OTHER_WORDS: Final = 0.1  # names of pictures, words that markup cuts in two
LOOKED_CHARS: Final = 24
MAX_OTHER_LINES: Final = 8
MAX_OTHER_PIECES: Final = 100  # each is looked for in all of the HTML
MAX_OTHER_WORDS: Final = 40
MAX_LOOKS: Final = 20
_NO_WORD: Final = frozenset(" \t\r\n" + string.punctuation.replace("_", ""))
_WORD = re.compile(r"\w{3,}")
_LINK = re.compile(r"(?:https?://|www\.|mailto:)[^\s<>]+", re.IGNORECASE)


@dataclass(slots=True)
class Body:
    """What was read."""

    text: str = ""
    reply: str = ""
    quoted: str = ""
    attachments: tuple[Attachment, ...] = ()
    undecrypted: bool = False
    notes: list[str] = field(default_factory=list)


class BodyReader:
    """Reads one mail's parts."""

    def __init__(self, raw: bytes, root: Part, limits: MailLimits) -> None:
        self._raw = raw
        self._root = root
        self._limits = limits
        self._notes: list[str] = []

    def read(self) -> Body:
        """All of it."""
        plain, html, others = self._sorted()
        text, marked = self._shown(plain, html)
        text = clean_text(text)
        if len(text) > self._limits.text_chars:
            text, marked = text[: self._limits.text_chars], ""
            self._notes.append("text_cut")
        reply, quoted = split_reply(text, clean_text(marked))
        attachments = [
            attachment(self._raw, part, n) for n, part in enumerate(others[: self._limits.attachments], 1)
        ]
        if len(others) > self._limits.attachments:
            self._notes.append("attachments_left_out")
        is_unread = self._is_undecrypted(text, attachments)
        beside = self._forwarded(others)
        if beside:
            text, reply = f"{text}\n\n{beside}".strip(), f"{reply}\n\n{beside}".strip()
        return Body(text, reply, quoted, tuple(attachments), is_unread, self._notes)

    def _forwarded(self, others: list[Part]) -> str:
        """What was forwarded as an attachment, as the sender wants it read. A report's is our own mail, come back."""
        if self._root.type == "multipart/report":
            return ""
        beside, is_cut = forwarded(self._raw, others, self._limits, self._text_of)
        if is_cut:
            self._notes.append("forwarded_cut")
        return clean_text(beside)

    def _text_of(self, raw: bytes, root: Part) -> str:
        """Of a mail inside this one; what is forwarded in there is an attachment, and no more."""
        reader = BodyReader(raw, root, self._limits)
        plain, html, _ = reader._sorted()
        return reader._shown(plain, html)[0]

    def content(self, part: Part) -> str:
        """A part as text, up to the limit of HTML."""
        charset = part.parameter("charset")
        data = b"".join(decoded(memoryview(self._raw)[part.start : part.end], part.encoding))
        if len(data) > self._limits.html_bytes:
            data = data[: self._limits.html_bytes]
            self._notes.append("body_cut")
        return to_text(data, charset)

    def _sorted(self) -> tuple[list[Part], list[Part], list[Part]]:
        """(plain texts, HTML texts, attachments) of the parts without children."""
        plain: list[Part] = []
        html: list[Part] = []
        others: list[Part] = []
        for part in self._root.walk():
            if part.type.startswith("multipart/") and (part.children or part is not self._root):
                continue
            is_text = part.disposition != "attachment" and not (part.filename() and part.parent is not None)
            if is_text and (part.type == "text/plain" or part.type.startswith("multipart/")):
                plain.append(part)
            elif is_text and part.type == "text/html":
                html.append(part)
            elif part is self._root and part.type.startswith("text/"):
                plain.append(part)
            else:
                others.append(part)
        return plain, html, others

    def _shown(self, plain: list[Part], html: list[Part]) -> tuple[str, str]:
        """(the text, the same without marked quotes, when the HTML is taken)."""
        text = squeezed_lines("\n\n".join(self.content(part) for part in plain))
        if not html:
            return text, ""
        is_enough = text.strip() and all(_has_sibling(part, plain) for part in html)
        pages = [Page(self.content(part)) for part in html]
        if is_enough:
            bare = " ".join(page.bare() for page in pages)
            if not bare.strip() or (len(text) * MUCH_SHORTER > len(bare) and _says_no_more(text, bare)):
                return text, ""  # and the layout need not be worked out
            self._notes.append("plain_differs")
        seen = [page.visible() for page in pages]
        rich = "\n\n".join(one.text for one in seen if one.text)
        alone = "\n\n".join(self.content(part) for part in plain if not _has_sibling(part, html))
        if alone.strip():
            return squeezed_lines(f"{alone}\n\n{rich}"), ""
        return rich, seen[0].reply if len(seen) == 1 else ""

    def _is_undecrypted(self, text: str, attachments: list[Attachment]) -> bool:
        if self._root.type == "multipart/encrypted":
            return True
        if any(one.name.lower() in _ENCRYPTED_NAMES for one in attachments) and len(text) < 500:
            return True
        return bool(_UNDECRYPTED.match(text))


def _says_no_more(plain: str, seen: str) -> bool:
    """Mail clients show the HTML: what stands in the plain version alone is seen by no person, but would be by a model."""
    if any(sign in plain for sign in ("://", "www.", "mailto:")):
        plain = _LINK.sub(" ", plain)
    return _is_seen(plain, seen) or _has_few_others(plain, seen)


def _has_few_others(plain: str, seen: str) -> bool:
    # Pieces between blanks first, each once: it is the same, and mostly nothing is left to be taken apart.
    told, known = set(plain.split()), set(seen.split())
    if told <= known:
        return True
    told, known = _folded(told), _folded(known)
    rest = told - known
    return not rest or len(_words(rest) - _words(known)) <= len(_words(told)) * OTHER_WORDS


def _is_seen(plain: str, seen: str) -> bool:
    """Whether every line of the plain version, and each word of the few others, is found in the HTML as it stands.

    A sooner way to say yes, and never where `_has_few_others` says no, which takes apart every word of both.
    """
    seen, place, others, lines = f" {seen} ", 0, set[str](), 0
    for line in plain.split("\n"):
        bare = line.lstrip("> ")
        if not bare:
            continue
        found = _place_of(bare, seen, place)
        if found >= 0:
            place = found + len(bare)
            continue
        others.update(bare.split())
        lines += 1
        if lines > MAX_OTHER_LINES or len(others) > MAX_OTHER_PIECES:
            return False
    words = _words(_folded({piece for piece in others if f" {piece} " not in seen}))
    return len(words) <= MAX_OTHER_WORDS and all(_has_word(seen, word) for word in words)


def _place_of(line: str, seen: str, place: int) -> int:
    """Of the line with a blank at either end; by its beginning first: mostly it stands right there, and that is soon told."""
    found, length = seen.find(line[:LOOKED_CHARS], place), len(line)
    if found < 0 or (
        seen[found - 1] == seen[found + length : found + length + 1] == " " and seen.startswith(line, found)
    ):
        return found
    return seen.find(f" {line} ", place) + 1 or -1


def _has_word(seen: str, word: str) -> bool:
    """Whether it stands between signs that are of no word; word: in folded case."""
    place = 0
    for _ in range(MAX_LOOKS):
        place = seen.find(word, place)
        if place < 0 or word.casefold() != word:
            return False
        if seen[place - 1] in _NO_WORD and seen[place + len(word)] in _NO_WORD:
            return True
        place += 1
    return False


def _folded(pieces: set[str]) -> set[str]:
    return {piece.casefold() for piece in pieces}


def _words(pieces: set[str]) -> set[str]:
    return set(_WORD.findall(" ".join(pieces)))


def _has_sibling(part: Part, others: list[Part]) -> bool:
    """Whether one of the others is an alternative to this part."""
    return any(
        _alternative(part) is not None and _alternative(part) is _alternative(other) for other in others
    )


def _alternative(part: Part) -> Part | None:
    parent = part.parent
    while parent is not None and parent.type != "multipart/alternative":
        parent = parent.parent
    return parent
