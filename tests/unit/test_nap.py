"""A nap ends at the bell, at its time, and at a cancellation that comes in the very moment of the bell."""

from __future__ import annotations

import asyncio

import pytest

from fleetprompt.runtime.jobs.endings import end_tasks
from fleetprompt.runtime.jobs.sleeper import nap


async def test_a_nap_ends_at_the_bell_or_at_its_time() -> None:
    bell = asyncio.Event()
    await nap(bell, 0.01)
    bell.set()
    await nap(bell, 60)


async def test_a_cancellation_in_the_moment_of_the_bell_is_not_lost() -> None:
    bell = asyncio.Event()
    task = asyncio.create_task(nap(bell, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bell.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end_tasks(task, None)
    assert task.cancelled()
