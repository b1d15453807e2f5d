"""What the outside saw, held against what it should have seen: the ledgers of the Mattermost and of the order desk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fleetprompt.sandbox.mattermost import LedgerEntry, Post
from fleetprompt.sandbox.order_desk import Hold

FAILED: Final = "did not work"  # the builtin planner's words
Where = tuple[str, str]
"""(channel id, id of the thread's root); "" is a direct message's single stream."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A message that has to be answered once. expects: what its answer says, among other things."""

    post: Post
    is_direct: bool
    expects: tuple[str, ...]

    @property
    def where(self) -> Where:
        """Where the answer belongs."""
        return self.post.channel_id, "" if self.is_direct else self.post.root_id or self.post.id


@dataclass(frozen=True, slots=True)
class Count:
    """Things that should have happened once each, and those that did not happen so, in words."""

    expected: int
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    misplaced: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Nothing lost, nothing doubled, everything in its place."""
        return not (self.lost or self.doubled or self.misplaced)


def answered(asks: Iterable[Ask], answers: Iterable[LedgerEntry]) -> bool:
    """There are as many answers as there have to be, wherever there has to be one."""
    there = Counter((entry.channel_id, entry.root_id) for entry in answers)
    return all(there[where] >= count for where, count in Counter(ask.where for ask in asks).items())


def count_answers(asks: Sequence[Ask], answers: Sequence[LedgerEntry]) -> Count:
    """Lost, doubled, and out of order or woken by something else. asks and answers: in order of arrival."""
    asked, given = defaultdict(list), defaultdict(list)
    for ask in asks:
        asked[ask.where].append(ask)
    for entry in answers:
        given[entry.channel_id, entry.root_id].append(entry)
    lost: list[str] = []
    doubled: list[str] = []
    misplaced: list[str] = []
    for where in {**asked, **given}:
        due, came = asked[where], given[where]
        lost += [f"no answer to {ask.post.message!r}" for ask in due[len(came) :]]
        too_many = [f"answered once too often: {entry.message!r}" for entry in came[len(due) :]]
        (doubled if due else misplaced).extend(too_many)
        pairs = zip(due, came, strict=False)
        misplaced += [f"{a.post.message!r} was answered {e.message!r}" for a, e in pairs if not _fits(a, e)]
    return Count(len(asks), tuple(lost), tuple(doubled), tuple(misplaced))


def _fits(ask: Ask, entry: LedgerEntry) -> bool:
    return all(words in entry.message for words in ask.expects) and FAILED not in entry.message


def count_holds(expected: Sequence[str], ledger: Iterable[Hold]) -> Count:
    """Each of these orders was put on hold once, and no other."""
    placed: Mapping[str, int] = Counter(hold.number for hold in ledger)
    lost = [f"order {number} is not on hold" for number in expected if number not in placed]
    doubled = [
        f"order {number} was put on hold {count} times" for number, count in placed.items() if count > 1
    ]
    uncalled = [f"order {number} is on hold, and nobody asked" for number in placed if number not in expected]
    return Count(len(expected), tuple(lost), tuple(doubled), tuple(uncalled))
