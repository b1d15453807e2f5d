"""What is read ahead of the transactions is bounded, by number and by bytes; reading never ends unheard."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from adapters.errors import Unreachable
from fleetprompt.connectors import line
from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.line import Ahead
from fleetprompt.kernel.ids import TenantSlug, new_id

SOURCE = Source(TenantSlug("acme"), new_id(), 1, "order-desk", str)


def event(raw: bytes) -> Inbound:
    return Inbound(
        EventKind.MESSAGE,
        "k",
        "x",
        Author("a", AuthorKind.PERSON),
        Place("c", "direct"),
        "",
        0,
        False,
        raw,
        Cursor(""),
    )


async def test_large_events_make_the_reader_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "BUFFERED_BYTES", 100)
    queue = Ahead(10)
    await queue.put(event(b"x" * 60))
    await queue.put(event(b"x" * 60))
    third = asyncio.create_task(queue.put(event(b"y")))
    await asyncio.sleep(0)
    assert queue.full()
    assert not third.done()
    await queue.get()
    await third
    assert (queue.qsize(), queue.full()) == (2, False)


async def test_one_event_always_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "BUFFERED_BYTES", 1)
    queue = Ahead(10)
    await asyncio.wait_for(queue.put(event(b"x" * 1000)), 5)
    assert queue.full()
    assert len((await queue.get()).raw) == 1000  # type: ignore[union-attr]
    assert not queue.full()


class _GivesUp:
    """As a library whose own task was cancelled, when its connection fell."""

    async def listen(self, _: Cursor) -> AsyncIterator[Inbound]:
        yield event(b"one")
        raise asyncio.CancelledError


async def test_a_library_that_cancels_itself_ends_the_reading_audibly() -> None:
    queue, adapter = Ahead(10), _GivesUp()
    given_up: Any = adapter
    reader = asyncio.create_task(line._read(given_up, SOURCE, Cursor(""), queue))
    async with asyncio.timeout(5):
        await asyncio.wait([reader])
        batch, ended = await line._next_batch(queue)
        if ended is None:
            _, ended = await line._next_batch(queue)
    assert len(batch) == 1
    assert isinstance(ended.error if ended else None, Unreachable)


async def test_a_reading_that_is_cancelled_by_us_is_cancelled() -> None:
    waiting: Any = _Waits()
    reader = asyncio.create_task(line._read(waiting, SOURCE, Cursor(""), Ahead(10)))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled()


class _Waits:
    async def listen(self, _: Cursor) -> AsyncIterator[Inbound]:
        await asyncio.Event().wait()
        yield event(b"never")


class _TellsThree:
    async def listen(self, _: Cursor) -> AsyncIterator[Inbound]:
        for raw in (b"one", b"poison", b"three"):
            yield event(raw)


async def test_events_are_prepared_ahead_and_one_that_cannot_be_is_left_to_its_transaction() -> None:
    def prepare(_: Source, told: Inbound) -> Inbound:
        if told.raw == b"poison":
            raise ValueError("not to be read")
        return replace(told, text="prepared")

    queue, telling = Ahead(10), _TellsThree()
    adapter: Any = telling
    await line._read(adapter, replace(SOURCE, prepare=prepare), Cursor(""), queue)
    batch, ended = await line._next_batch(queue)
    assert [(one.raw, one.text) for one in batch] == [
        (b"one", "prepared"),
        (b"poison", ""),
        (b"three", "prepared"),
    ]
    assert ended is not None


class _TellsALongOne:
    async def listen(self, _: Cursor) -> AsyncIterator[Inbound]:
        yield event(b"x" * (line.LONG_BYTES + 1))


async def test_a_long_event_is_worked_out_while_the_loop_goes_on() -> None:
    turned = threading.Event()

    def prepare(_: Source, told: Inbound) -> Inbound:
        return replace(told, text=str(turned.wait(5)))

    queue, telling = Ahead(10), _TellsALongOne()
    adapter: Any = telling
    reading = asyncio.create_task(line._read(adapter, replace(SOURCE, prepare=prepare), Cursor(""), queue))
    await asyncio.sleep(0.05)
    turned.set()
    await reading
    [[one], _] = await line._next_batch(queue)
    assert one.text == "True"
