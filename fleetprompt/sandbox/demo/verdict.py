"""What the outside saw, held against what it should have seen: the ledgers of the Mattermost and of the order desk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleetprompt.sandbox.mattermost import LedgerEntry, Post
from fleetprompt.sandbox.order_desk import Hold

Where = tuple[str, str]
"""(channel id, id of the thread's root); "" is a direct message's single stream."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A message that has to be answered once. expects: words of its answer, in any order and case."""

    post: Post
    is_direct: bool
    expects: tuple[str, ...]

    @property
    def where(self) -> Where:
        """Where the answer belongs."""
        return self.post.channel_id, "" if self.is_direct else self.post.root_id or self.post.id


@dataclass(frozen=True, slots=True)
class Count:
    """Things that should have happened once each, and how often they did."""

    expected: int
    lost: int
    doubled: int
    misplaced: int = 0

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
    lost = sum(max(0, len(asked[where]) - len(given.get(where, ()))) for where in asked)
    doubled = sum(max(0, len(given[where]) - len(asked[where])) for where in given if where in asked)
    uncalled = sum(len(given[where]) for where in given if where not in asked)
    wrong = sum(not _fits(*pair) for where in asked for pair in zip(asked[where], given[where], strict=False))
    return Count(len(asks), lost, doubled, uncalled + wrong)


def _fits(ask: Ask, entry: LedgerEntry) -> bool:
    said = entry.message.casefold()
    return all(word.casefold() in said for word in ask.expects)


def count_holds(expected: Sequence[str], ledger: Iterable[Hold]) -> Count:
    """Each of these orders was put on hold once, and no other."""
    placed: Mapping[str, int] = Counter(hold.number for hold in ledger)
    lost = sum(number not in placed for number in expected)
    doubled = sum(count - 1 for number, count in placed.items() if number in expected)
    return Count(len(expected), lost, doubled, sum(number not in expected for number in placed))
