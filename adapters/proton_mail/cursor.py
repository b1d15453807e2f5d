"""Where reading has come to: a UID for each folder, under the UIDVALIDITY it was counted in.

A cursor is small JSON, `{"v":1,"s":floor,"t":newest,"f":{folder: [uidvalidity, uid]}}`; a folder is named by eight hex
digits of its name's digest, so that fifty of them stay far below 4 KB.

- `s`: mail received before this moment (unix ms, INTERNALDATE) is history: it is never told, under whatever UID it
  comes. A mailbox that Bridge is rebuilding gives old mails new UIDs, for hours, and in no order of time.
- `f`: `[0,0]` is a folder that is still to be read from the floor; one that is missing was added to the settings later,
  and what stands in it by then is history.
- `t`: the newest INTERNALDATE that was told. When a UIDVALIDITY rises, the folder is read anew from the floor, and the
  floor itself moves up to a week before `t`: what was told in that week is known to the caller by its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.contract import Cursor
from adapters.errors import Misconfigured

NOT_READ = (0, 0)
FIRST_LOOK_MS = 24 * 3600 * 1000  # without a start, older mail that gets a new UID is history


@dataclass(slots=True)
class Position:
    """A cursor that moves."""

    floor_ms: int
    newest_ms: int
    now_ms: Callable[[], int]
    read: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def parse(
        cls, cursor: Cursor, start_at_ms: int, folders: tuple[str, ...], now_ms: Callable[[], int]
    ) -> Position:
        """Read a cursor of ours; "" is the beginning. folders: which are read now. Raises Misconfigured."""
        if not cursor:
            waiting = {_key(folder): NOT_READ for folder in folders} if start_at_ms else {}
            return cls(start_at_ms or now_ms() - FIRST_LOOK_MS, now_ms(), now_ms, waiting)
        try:
            value = json.loads(cursor)
            read = {str(key): (int(one[0]), int(one[1])) for key, one in value["f"].items()}
            kept = {_key(folder) for folder in folders}
            known = {key: one for key, one in read.items() if key in kept}
            return cls(int(value["s"]), int(value["t"]), now_ms, known)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise Misconfigured(
                "the stored cursor is not of this adapter",
                advice="Restore it, or start from the install's moment.",
            ) from error

    def dump(self) -> Cursor:
        """As a string of at most 4 KB."""
        read = {key: list(one) for key, one in self.read.items()}
        value = {"v": 1, "s": self.floor_ms, "t": self.newest_ms, "f": read}
        return Cursor(json.dumps(value, separators=(",", ":")))

    def of(self, folder: str) -> tuple[int, int] | None:
        """(UIDVALIDITY, last UID told) of a folder; None when it was never read."""
        return self.read.get(_key(folder))

    def reached(self, folder: str, uid_validity: int, uid: int, received_at_ms: int = 0) -> None:
        """Everything up to this UID has been told."""
        self.read[_key(folder)] = (uid_validity, uid)
        self.newest_ms = max(self.newest_ms, min(received_at_ms, self.now_ms()))

    def rebuilt(self, rescan_ms: int) -> None:
        """A UIDVALIDITY rose: what is older than the rescan is history from now on."""
        self.floor_ms = max(self.floor_ms, self.newest_ms - rescan_ms)


def _key(folder: str) -> str:
    name = "INBOX" if folder.upper() == "INBOX" else folder
    return hashlib.sha256(name.encode()).hexdigest()[:8]
