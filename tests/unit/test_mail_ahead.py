"""Working ahead of the caller: order, bounds, faults in their turn, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from adapters.proton_mail.ahead import Room, Started, ahead


async def test_so_many_are_got_while_the_caller_is_busy_and_no_more() -> None:
    begun: list[int] = []

    async def source() -> AsyncGenerator[int, None]:
        for number in range(10):
            begun.append(number)
            yield number

    async with aclosing(ahead(source(), 3)) as numbers:
        assert await anext(numbers) == 0
        for _ in range(20):
            await asyncio.sleep(0)
        assert begun == [0, 1, 2, 3]
        assert [number async for number in numbers] == list(range(1, 10))


async def test_a_fault_comes_behind_all_that_came_before_it() -> None:
    async def source() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise ConnectionResetError

    numbers = ahead(source(), 2)
    assert [await anext(numbers), await anext(numbers)] == [1, 2]
    with pytest.raises(ConnectionResetError):
        await anext(numbers)


async def test_who_stops_listening_ends_the_source_and_what_it_started() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("work")

    async def source() -> AsyncGenerator[asyncio.Task[None], None]:
        async with Started() as started:
            while True:
                yield started.add(asyncio.create_task(work()))

    async with aclosing(ahead(source(), 3)) as tasks:
        await anext(tasks)
        for _ in range(20):
            await asyncio.sleep(0)
    assert ended == ["work"] * 4


async def test_a_task_that_failed_and_nobody_waited_for_says_nothing() -> None:
    async def work() -> None:
        raise OSError

    async with Started() as started:
        task = started.add(asyncio.create_task(work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert task.done()


async def test_what_does_not_fit_waits_but_for_one_alone() -> None:
    room = Room(10)
    await room.take(25)
    second = asyncio.create_task(room.take(1))
    await asyncio.sleep(0)
    assert not second.done()
    room.give_back(25)
    await second
    await room.take(9)
