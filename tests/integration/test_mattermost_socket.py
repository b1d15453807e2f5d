"""One websocket connection against servers that misbehave, frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from adapters.errors import FarSideFailed, TimedOut
from adapters.mattermost.settings import MattermostSettings, ServerAddress
from adapters.mattermost.socket import Resume, Socket
from tests.adapter_stages import QUICK

Script = Callable[[ServerConnection], Awaitable[None]]
HELLO = {"event": "hello", "seq": 0, "data": {"connection_id": "c1"}}


def event(seq: int, name: str = "typing") -> dict[str, Any]:
    return {"event": name, "seq": seq, "data": {}, "broadcast": {}}


def sends(*frames: Any) -> Script:
    """Send these and stay."""

    async def script(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
        await connection.wait_closed()

    return script


@asynccontextmanager
async def connected(script: Script, resume: Resume | None = None, **pace: Any) -> AsyncIterator[Socket]:
    async with serve(script, "127.0.0.1", 0, close_timeout=0.1) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        settings = MattermostSettings(url, "token", pace=replace(QUICK, **pace))
        async with Socket(settings, ServerAddress.parse(url), resume) as socket:
            yield socket


async def all_seqs(socket: Socket) -> list[int]:
    """Every frame up to the connection's end."""
    seqs: list[int] = []
    async with asyncio.timeout(5):
        while (frame := await socket.next_frame()) is not None:
            seqs.append(frame.seq)
    return seqs


async def first_seqs(socket: Socket, count: int) -> list[int]:
    async with asyncio.timeout(5):
        frames = [await socket.next_frame() for _ in range(count)]
    return [frame.seq for frame in frames if frame]


async def test_a_gap_ends_the_connection_and_what_came_before_it_is_kept() -> None:
    async with connected(sends(HELLO, event(1), event(3), event(4))) as socket:
        assert await all_seqs(socket) == [0, 1]
        assert isinstance(socket.error, FarSideFailed)
        assert socket.resume is None, "after loss only a catch-up helps"


async def test_what_a_resume_repeats_is_dropped() -> None:
    async with connected(sends(event(3), event(4), event(5), event(6)), Resume("c1", 5)) as socket:
        assert await first_seqs(socket, 2) == [5, 6]


async def test_a_failed_resume_begins_anew_with_a_hello() -> None:
    async with connected(
        sends({**HELLO, "data": {"connection_id": "c2"}}, event(1)), Resume("c1", 50)
    ) as socket:
        assert await first_seqs(socket, 2) == [0, 1]
        assert socket.resume == Resume("c2", 2)


async def test_the_server_is_asked_to_resume_by_connection_and_number() -> None:
    asked: list[str] = []

    async def script(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.extend([connection.request.path, connection.request.headers["Authorization"]])
        await connection.send(json.dumps(event(7)))
        await connection.wait_closed()

    async with connected(script, Resume("c1", 7)) as socket:
        await first_seqs(socket, 1)
    assert asked == ["/api/v4/websocket?connection_id=c1&sequence_number=7", "Bearer token"]


@pytest.mark.parametrize(
    "garbage", ["", "{", "[]", '{"event":"posted"}', b"\xff\xfe", '{"event":"x","seq":"2"}']
)
async def test_an_unreadable_frame_is_skipped_with_its_number(garbage: str | bytes) -> None:
    async with connected(sends(HELLO, event(1), garbage, event(3))) as socket:
        assert await first_seqs(socket, 3) == [0, 1, 3]


async def test_an_unreadable_frame_without_a_number_loses_nothing() -> None:
    async with connected(sends(HELLO, "not a frame", event(1), event(2))) as socket:
        assert await first_seqs(socket, 3) == [0, 1, 2]


async def test_answers_to_client_frames_are_no_events() -> None:
    async with connected(sends(HELLO, {"status": "OK", "seq_reply": 1}, event(1))) as socket:
        assert await first_seqs(socket, 2) == [0, 1]


async def test_a_full_buffer_ends_the_connection_where_it_can_be_resumed() -> None:
    async with connected(
        sends(HELLO, *(event(number) for number in range(1, 30))), buffered_frames=10
    ) as socket:
        await asyncio.sleep(0.2)
        assert await all_seqs(socket) == list(range(10))
        assert socket.resume == Resume("c1", 10)


async def test_a_frame_beyond_all_measure_ends_the_connection() -> None:
    async with connected(sends(HELLO, "x" * (17 * 2**20))) as socket:
        assert await all_seqs(socket) == [0]
        assert isinstance(socket.error, FarSideFailed)


async def test_silence_is_noticed_by_our_own_pings() -> None:
    async def deaf(connection: ServerConnection) -> None:
        await connection.send(json.dumps(HELLO))
        connection.transport.pause_reading()
        await asyncio.sleep(1.5)
        connection.transport.abort()

    async with connected(deaf, ping_interval_s=0.1, pong_timeout_s=0.2) as socket:
        began = asyncio.get_running_loop().time()
        assert await all_seqs(socket) == [0]
        assert asyncio.get_running_loop().time() - began < 1.4
        assert isinstance(socket.error, FarSideFailed | TimedOut)


async def test_a_server_that_hangs_up_without_a_word_leaves_nothing_to_resume() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.close()

    async with connected(hang_up) as socket:
        assert await all_seqs(socket) == []
        assert socket.resume is None


async def test_whoever_is_cancelled_while_the_connection_ends_is_cancelled() -> None:
    """Else a line that was told to end would connect again."""

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)

    async with connected(sends(HELLO)) as socket:
        own, socket._pump = socket._pump, asyncio.create_task(slow_to_end())
        ending = asyncio.create_task(socket.end())
        await asyncio.sleep(0.02)
        ending.cancel()
        await asyncio.wait([ending, socket._pump])
        socket._pump = own
        assert ending.cancelled()
