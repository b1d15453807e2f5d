"""The floor of an answer: a bot with a websocket in and one pooled POST out, which stores nothing."""

from __future__ import annotations

import json

import httpx2
from websockets.asyncio.client import connect


async def echo(url: str, user_id: str, token: str) -> None:
    """Answer whatever names it in its thread, until killed."""
    headers = {"Authorization": f"Bearer {token}"}
    socket_url = url.replace("http", "ws", 1) + "/api/v4/websocket"
    client = httpx2.AsyncClient(base_url=url, headers=headers)
    async with client, connect(socket_url, additional_headers=headers) as socket:
        async for frame in socket:
            event = json.loads(frame)
            post = json.loads(event["data"]["post"]) if event.get("event") == "posted" else {}
            if "@echo" in post.get("message", "") and post["user_id"] != user_id:
                answer = {"channel_id": post["channel_id"], "root_id": post["id"], "message": post["message"]}
                await client.post("/api/v4/posts", json=answer)
