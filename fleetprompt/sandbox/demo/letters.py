"""The second scene: a customer writes a mail, an agent drafts, a person lets it go, and the service dies right then."""

from __future__ import annotations

import email
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from email.utils import formatdate, make_msgid
from itertools import zip_longest
from typing import Final

from fleetprompt.sandbox.demo import verdict
from fleetprompt.sandbox.demo.screen import DIM, Screen, wrapped
from fleetprompt.sandbox.demo.town import AGENT, MAILBOX, Town, until
from fleetprompt.sandbox.demo.transcript import plain
from fleetprompt.sandbox.demo.verdict import Count

INES: Final = "ines@customer.example"
SUBJECT: Final = "My walnut desk"
WORDS: Final = "Where is order 1042?"
EXPECTED: Final = "Order 1042"
_DRAFT = re.compile(r"directives show ([0-9a-f-]{36})")


@dataclass
class Letters:
    """What a customer wrote, and the draft that answers it."""

    town: Town
    asked: bytes = b""
    draft_id: str = ""

    def write(self) -> None:
        """Ines writes to the team."""
        mail = EmailMessage(policy=default.clone(linesep="\r\n"))
        mail["From"], mail["To"], mail["Subject"] = f"Ines <{INES}>", MAILBOX, SUBJECT
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="customer.example")
        mail.set_content(f"{WORDS}\n")
        self.asked = mail.as_bytes()
        self.town.mailbox.deliver(MAILBOX, self.asked)

    @property
    def message_id(self) -> str:
        """Of what she wrote."""
        return str(_read(self.asked)["Message-ID"]).strip()

    async def drafted(self) -> None:
        """Wait until #support is told of a draft. Raises DemoFailed."""
        await until(lambda: bool(self.town.notices()), "the notice of a draft")
        found = _DRAFT.search(self.town.notices()[-1])
        self.draft_id = found[1] if found is not None else ""

    async def approved(self, approve: Callable[[str], Awaitable[None]]) -> None:
        """A person lets it go; the mailbox takes it, and keeps its answer to itself. Raises DemoFailed."""
        self.town.mailbox.arm("smtp_hole_after_data")
        await approve(self.draft_id)
        await until(lambda: bool(self.town.letters()), "the mail")

    def judge(self) -> Count:
        """One mail, in her thread; exactly once."""
        answers = [one for one in self.town.letters() if one.recipients == (INES,)]
        fits = [one for one in answers if _is_answer(one.raw, self.message_id)]
        lost = ("no answer to the mail",) if not answers else ()
        doubled = tuple("answered once too often" for _ in answers[1:])
        others = len(self.town.letters()) - len(fits)
        return verdict.Count(1, lost, doubled, tuple("a mail outside of her thread" for _ in range(others)))

    def show(self, screen: Screen) -> None:
        """What the team read beside what Ines's mail program shows."""
        half = (screen.width - 5) // 2
        left = _column(half, [(AGENT, plain(text)) for text in self.town.notices()])
        answers = [_shown(one.sent or b"", self.message_id) for one in self.town.letters()]
        right = _column(half, [("ines", _shown(self.asked)), *(("support", text) for text in answers)])
        for first, second in zip_longest(left, right, fillvalue=""):
            screen.write(f"  {first:<{half}} {screen.styled('|', DIM)} {second}".rstrip())


def _is_answer(raw: bytes, message_id: str) -> bool:
    mail = _read(raw)
    named = [str(mail[name]).split() for name in ("In-Reply-To", "References")]
    return all(message_id in ids for ids in named) and EXPECTED in _text(mail)


def _read(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=default)


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain", "html"))
    content = body.get_content() if body is not None else ""
    return re.sub(r"<[^>]+>", "", str(content)).replace("\r", "").strip()


def _shown(raw: bytes, reply_to: str = "") -> str:
    """Subject and text; reply_to: the mail in whose thread it has to stand."""
    mail = _read(raw)
    is_in_thread = bool(reply_to) and reply_to in str(mail["In-Reply-To"])
    thread = "\n(in the thread of her mail)" if is_in_thread else ""
    return f"{mail['Subject']}{thread}\n\n{plain(_text(mail))}"


def _column(width: int, said: Sequence[tuple[str, str]]) -> list[str]:
    """Names, and below each what was said, in lines of this width."""
    lines: list[str] = []
    for name, text in said:
        lines += [f"{name}:", *(f"  {line}" for line in wrapped(text, width - 2)), ""]
    return lines
