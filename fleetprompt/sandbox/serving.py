"""Running a sandbox server as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Served(Protocol):
    """A server that runs."""

    @property
    def url(self) -> str: ...


async def serve(server: AbstractAsyncContextManager[Served]) -> None:
    """Serve until SIGINT or SIGTERM; prints one line of JSON, {"url": ...}, when the server is ready."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server as running:
        sys.stdout.write(json.dumps({"url": running.url}) + "\n")
        sys.stdout.flush()
        await stopped.wait()
