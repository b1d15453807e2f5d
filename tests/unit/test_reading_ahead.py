"""What is read ahead of the transactions is bounded, by number and by bytes."""

from __future__ import annotations

import asyncio

import pytest

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors import line
from fleetprompt.connectors.line import Ahead


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
