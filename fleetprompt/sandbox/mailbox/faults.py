"""What goes wrong on command, by name; each armed fault is used up once."""

from __future__ import annotations

from collections import Counter
from typing import Final

POISONS: Final = frozenset(
    {
        "cut",  # in the middle of its literal
        "hang",
        "oversize",  # a literal longer than any client takes, whatever RFC822.SIZE said
        "refuse",
    }
)
"""What happens each time one mail's body is fetched, whole or in part."""
IMAP_FAULTS: Final = frozenset(
    {
        "imap_strip_starttls",  # it is offered to nobody
        "imap_refuse_starttls",  # offered and then refused
        "imap_inject",  # plain bytes right after the STARTTLS answer
        "imap_other_certificate",
        "imap_preauth",  # the greeting says that we are in already
        "imap_silent",  # accepts the connection and says nothing
        "imap_no_idle",  # switched off for this connection
        "imap_withdraw_idle",  # switched off while it is asked for, and offered no more on this connection
        "imap_cut_in_idle",
        "imap_bye_in_idle",
        "imap_hole_in_idle",  # the far side is gone and nobody says so
        "imap_cut_in_select",  # or EXAMINE, with which each look begins
        "imap_hole_in_select",
        "imap_cut_in_fetch",  # in the middle of a literal
        "imap_hole_in_fetch",
        "imap_no_to_fetch",
        "imap_no_to_search",
    }
)
SMTP_FAULTS: Final = frozenset(
    {
        "smtp_strip_starttls",
        "smtp_inject",
        "smtp_other_certificate",
        "smtp_silent",
        "smtp_refuse_login",  # 454, whatever the password
        "smtp_fail_mail",  # 554 to MAIL
        "smtp_fail_recipient",  # 554 to RCPT
        "smtp_fail_data",  # 554 after the mail's last line; nothing was sent
        "smtp_drop_after_data",  # sent, and cut instead of the answer
        "smtp_drop_before_sending",  # cut, and nothing sent
        "smtp_hole_after_data",  # sent, and the answer never comes
    }
)


class MailFaults:
    """The armed faults. used: how often each did its harm."""

    def __init__(self) -> None:
        self._armed: dict[str, int] = {}
        self._poisons: dict[str, str] = {}
        self.used: Counter[str] = Counter()

    def arm(self, name: str, count: int = 1) -> None:
        """The next `count` chances are taken. Raises ValueError for an unknown name."""
        if name not in IMAP_FAULTS | SMTP_FAULTS:
            raise ValueError(f"unknown fault {name}")
        self._armed[name] = self._armed.get(name, 0) + count

    def poison(self, mail_id: str, how: str) -> None:
        """One of POISONS for this mail, until it is cleared. Raises ValueError for an unknown one."""
        if how not in POISONS:
            raise ValueError(f"unknown poison {how}")
        self._poisons[mail_id] = how

    def poison_of(self, mail_id: str) -> str:
        """How fetching this mail goes wrong now, "" when it does not."""
        how = self._poisons.get(mail_id, "")
        self.used[how] += bool(how)
        return how

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()
        self._poisons.clear()

    def take(self, name: str) -> bool:
        """Use one up."""
        left = self._armed.get(name, 0)
        if left:
            self._armed[name] = left - 1
            self.used[name] += 1
        return left > 0
