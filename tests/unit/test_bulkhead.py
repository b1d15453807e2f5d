"""Turns at a far side."""

from __future__ import annotations

import asyncio

from fleetprompt.connectors.bulkhead import Bulkhead
from fleetprompt.kernel.ids import new_id


async def test_turns_are_few_for_one_installation_and_nothing_to_another() -> None:
    turns, ours, other = Bulkhead(most=2), new_id(), new_id()
    async with (
        turns.turn(ours, 0.01) as first,
        turns.turn(ours, 0.01) as second,
        turns.turn(ours, 0.01) as third,
        turns.turn(other, 0.01) as beside,
    ):
        assert (first, second, third, beside) == (True, True, False, True)
    async with turns.turn(ours, 0.01) as again:
        assert again


async def test_a_turn_is_waited_for_and_given_back_after_a_fault() -> None:
    turns, ours, entered = Bulkhead(most=1), new_id(), asyncio.Event()

    async def hold() -> None:
        async with turns.turn(ours, 1):
            entered.set()
            await asyncio.sleep(0.02)
            raise RuntimeError

    holder = asyncio.create_task(hold())
    await entered.wait()
    async with turns.turn(ours, 5) as is_ours:
        assert is_ours
    assert isinstance((await asyncio.gather(holder, return_exceptions=True))[0], RuntimeError)
