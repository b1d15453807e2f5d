"""Where reading has come to, so that nothing unread is ever behind it.

A cursor is small JSON: `{"v":1,"f":floor,"c":{channel: mark}}`, in milliseconds of the server's clock.

- `f`: in **every** channel, everything up to here has been yielded (less the overlap, see `Pace.overlap_ms`).
- `c`: in these channels reading is ahead of the floor. Present only while a catch-up is under way: it works channel by
  channel, so the newest post of one channel says nothing about the next, and the floor must stay where it was until the
  last channel is done. Marks are in the order of what happened (a post's `create_at`, an edit's `edit_at`, a
  deletion's `delete_at`), as the channel's events are yielded.

Live frames come in one sequence without gaps, so there the floor may follow each event. When a catch-up ends the floor
rises to the newest `last_post_at` of the channel list that it began with: each channel was read after that.

Acks come in the order of yields, so the cursor of any event covers all events before it and none after. When a cursor
would grow beyond 4 KB the least advanced marks are dropped: those channels are read again from the floor, no harm done.
Nothing counts as later than the server's clock: a post dated in the future must not hide what comes before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.contract import Cursor
from adapters.errors import Misconfigured

CLOCK_STEP_MS = 1000  # the server tells its time in whole seconds
MAX_MARKS = 80  # 80 marks of 45 bytes: below 4 KB


@dataclass(slots=True)
class Position:
    """A cursor that moves."""

    floor_ms: int
    now_ms: Callable[[], int]
    marks: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: Cursor, start_at_ms: int, now_ms: Callable[[], int]) -> Position:
        """Read a cursor of ours; "" is the beginning. Raises Misconfigured."""
        if not cursor:
            return cls(start_at_ms, now_ms)
        try:
            value = json.loads(cursor)
            marks = {str(channel): int(mark) for channel, mark in value.get("c", {}).items()}
            return cls(max(int(value["f"]), start_at_ms), now_ms, marks)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Misconfigured(
                "the stored cursor is not of this adapter",
                advice="Restore it, or start from the install's moment.",
            ) from error

    def dump(self) -> Cursor:
        """As a string of at most 4 KB."""
        value: dict[str, object] = {"v": 1, "f": self.floor_ms}
        if self.marks:
            most_advanced = sorted(self.marks.items(), key=lambda item: item[1], reverse=True)[:MAX_MARKS]
            value["c"] = dict(most_advanced)
        return Cursor(json.dumps(value, separators=(",", ":")))

    def mark(self, channel_id: str) -> int:
        """Up to where this channel has been read, in ms."""
        return max(self.floor_ms, self.marks.get(channel_id, 0))

    def reached(self, channel_id: str, happened_at_ms: int) -> None:
        """A catch-up told this event of this channel."""
        self.marks[channel_id] = max(self.mark(channel_id), self._not_after_now(happened_at_ms))

    def caught_up(self, listed_at_ms: int) -> None:
        """Every channel has been read up to here."""
        self.floor_ms = max(self.floor_ms, self._not_after_now(listed_at_ms))
        self.marks.clear()

    def went_live(self, happened_at_ms: int) -> None:
        """A live event was told, and with it all that came before it."""
        self.floor_ms = max(self.floor_ms, self._not_after_now(happened_at_ms))

    def _not_after_now(self, at_ms: int) -> int:
        return min(at_ms, self.now_ms() + CLOCK_STEP_MS)
