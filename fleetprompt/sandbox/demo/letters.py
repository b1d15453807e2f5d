"""The second scene: a customer writes a mail, an agent drafts, a person lets it go, and the service dies right then."""

from __future__ import annotations

import email
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from email.utils import formatdate, make_msgid
from typing import Final

from fleetprompt.sandbox.demo import verdict
from fleetprompt.sandbox.demo.screen import BOLD, CYAN, DIM, Screen
from fleetprompt.sandbox.demo.town import MAILBOX, Town, until
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
    written_at_s: float = field(default_factory=time.time)

    def write(self) -> None:
        """Ines writes to the team."""
        mail = EmailMessage(policy=default.clone(linesep="\r\n"))
        mail["From"], mail["To"], mail["Subject"] = f"Ines <{INES}>", MAILBOX, SUBJECT
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="customer.example")
        mail.set_content(f"{WORDS}\n")
        self.asked, self.written_at_s = mail.as_bytes(), time.time()
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
        """As Ines's mail program shows it."""
        _show(screen, "ines", self.asked, self.written_at_s)
        for one in self.town.letters():
            assert one.sent is not None
            _show(screen, "support", one.sent, time.time(), reply_to=self.message_id)


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


def _show(screen: Screen, name: str, raw: bytes, at_s: float, reply_to: str = "") -> None:
    mail = _read(raw)
    moment = time.strftime("%H:%M:%S", time.localtime(at_s))
    shown_name = screen.styled(f"{name:<8}", BOLD, *([CYAN] if name == "support" else []))
    lead = f"  {screen.styled(moment, DIM)}  {shown_name} "
    indent = " " * (2 + 8 + 2 + 8 + 1)
    screen.say(f"{mail['Subject']}", indent=indent, first=lead)
    if reply_to and reply_to in str(mail["In-Reply-To"]):
        screen.say("(in the thread of her mail)", indent=indent, style=DIM)
    screen.say(plain(_text(mail)), indent=indent)
