"""From a mention to its answer, beside a bare echo bot on the same server: websocket in, one pooled POST out."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from websockets.asyncio.client import connect

from bench.figure import Figure
from tests import killing, serving
from tests.town import Town

ASKED = 60
GOAL_MS = 15.0


async def measure(play: Town) -> Figure:
    """Medians at one in flight, in turns: a question to the echo bot, one to the agent."""
    echo = play.chat.create_user("echo", is_bot=True)
    play.chat.add_to_channel(echo, play.support)
    ours, floors = [], []
    with killing.running(serving.serve, play.house.url, play.desk.url):
        async with _echo_bot(play, echo.id, echo.token):
            await _answer_ms(play, "@fleet help", play.bot.id)
            for _ in range(ASKED):
                floors.append(await _answer_ms(play, "@echo help", echo.id))
                ours.append(await _answer_ms(play, "@fleet help", play.bot.id))
    value, floor = statistics.median(ours[5:]), statistics.median(floors[5:])
    above = value - floor
    return Figure(
        "mention to reply, median ms", value, floor, None, f"<= floor + {GOAL_MS:.0f}", above <= GOAL_MS
    )


async def _answer_ms(play: Town, text: str, bot_id: str) -> float:
    arrived = len(play.chat.ledger)
    began = time.perf_counter()
    play.ask(text)
    async with asyncio.timeout(30):
        while not any(entry.user_id == bot_id for entry in play.chat.ledger[arrived:]):
            await asyncio.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def _echo_bot(play: Town, user_id: str, token: str) -> AsyncIterator[None]:
    task = asyncio.create_task(_echo(play, user_id, token))
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _echo(play: Town, user_id: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    socket_url = play.chat.url.replace("http", "ws", 1) + "/api/v4/websocket"
    client = httpx2.AsyncClient(base_url=play.chat.url, headers=headers)
    async with client, connect(socket_url, additional_headers=headers) as socket:
        async for frame in socket:
            event = json.loads(frame)
            post = json.loads(event["data"]["post"]) if event.get("event") == "posted" else {}
            if "@echo" in post.get("message", "") and post["user_id"] != user_id:
                answer = {
                    "channel_id": post["channel_id"],
                    "root_id": post["id"],
                    "message": post["message"],
                }
                await client.post("/api/v4/posts", json=answer)
