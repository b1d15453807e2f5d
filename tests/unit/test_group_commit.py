"""Group commit: shared, durable before anyone returns, and nobody's fault or end is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fleetprompt.connectors.group import GroupCommit


class Store:
    """Commits numbers; negative ones cannot be stored. gate: closed, a commit stays under way."""

    def __init__(self, most: int = 100) -> None:
        self.commits: list[list[int]] = []
        self.under_way = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.group: GroupCommit[int, int] = GroupCommit(
            self._commit, lambda error: isinstance(error, OSError), most
        )

    async def _commit(self, numbers: Sequence[int]) -> list[int]:
        self.under_way.set()
        await self.gate.wait()
        if any(number < 0 for number in numbers):
            raise OSError("away") if -99 in numbers else ValueError("poison")
        self.commits.append(list(numbers))
        return [number * 10 for number in numbers]

    async def first_under_way(self, number: int = 0) -> asyncio.Task[int]:
        """One caller whose commit waits at the gate."""
        self.gate.clear()
        first = asyncio.create_task(self.group.join(number, 1))
        await self.under_way.wait()
        return first


def callers(store: Store, *numbers: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(store.group.join(number, 1)) for number in numbers]


async def test_who_comes_while_a_commit_is_under_way_shares_the_next_in_order() -> None:
    store = Store()
    first = await store.first_under_way()
    others = callers(store, 1, 2, 3)
    await asyncio.sleep(0)
    store.gate.set()
    assert await asyncio.gather(first, *others) == [0, 10, 20, 30]
    assert store.commits == [[0], [1, 2, 3]]


async def test_nobody_returns_before_the_commit() -> None:
    store = Store()
    first = await store.first_under_way()
    await asyncio.sleep(0.01)
    assert not first.done()
    store.gate.set()
    await first


async def test_a_group_is_bounded() -> None:
    store = Store(most=2)
    first = await store.first_under_way()
    others = callers(store, 1, 2, 3)
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *others)
    assert store.commits == [[0], [1, 2], [3]]


async def test_poison_fails_alone() -> None:
    store = Store()
    first = await store.first_under_way()
    others = callers(store, 1, -2, 3)
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert results[:2] == [0, 10]
    assert isinstance(results[2], ValueError)
    assert results[3] == 30
    assert store.commits == [[0], [1], [3]]


async def test_a_fault_that_is_everybodys_is_not_tried_for_each() -> None:
    store = Store()
    first = await store.first_under_way()
    others = callers(store, 1, -99)
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(result) for result in results] == [int, OSError, OSError]
    assert store.commits == [[0]]


@pytest.mark.parametrize("canceled", [0, 1])
async def test_a_canceled_caller_harms_nobody(canceled: int) -> None:
    """The one whose commit is under way, or one that waits for the next."""
    store = Store()
    tasks = [await store.first_under_way(), *callers(store, 1, 2)]
    await asyncio.sleep(0)
    tasks[canceled].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results.pop(canceled), asyncio.CancelledError)
    assert results == [number * 10 for number in range(3) if number != canceled]
    assert sorted(number for commit in store.commits for number in commit) == (
        [0, 1, 2] if canceled == 0 else [0, 2]
    )


async def test_with_its_last_caller_a_commit_ends() -> None:
    store = Store()
    first = await store.first_under_way()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert store.group.is_idle
    assert store.commits == []
    store.gate.set()
    assert await store.group.join(7, 1) == 70


async def test_who_comes_while_an_abandoned_commit_is_being_ended_is_served() -> None:
    """Ending a transaction takes a moment: the server is asked to cancel what it does."""
    store, ending = Store(), asyncio.Event()

    async def slow_to_end(numbers: Sequence[int]) -> Sequence[int]:
        try:
            return await commit(numbers)
        except asyncio.CancelledError:
            ending.set()
            await asyncio.sleep(0.05)
            raise

    commit, store.group._commit = store.group._commit, slow_to_end
    first = await store.first_under_way()
    first.cancel()
    await ending.wait()
    second = asyncio.create_task(store.group.join(7, 1))
    await asyncio.wait([first])
    assert not store.group.is_idle  # else its owner would forget it, and whoever waits in it
    store.gate.set()
    async with asyncio.timeout(2):
        assert await second == 70
    assert store.commits == [[7]]
