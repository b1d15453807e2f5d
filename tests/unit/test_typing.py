"""Showing that an answer is being written."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.executions.act import Thinking, _typing
from fleetprompt.runtime.registry import Channel


async def test_a_run_that_is_cancelled_while_its_typing_ends_is_cancelled() -> None:
    """Else a worker that stops, or has lost the lease, would go on with it."""
    thought = asyncio.Event()

    async def slow_to_end(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)

    async def run() -> None:
        channel = Channel("chat", "post", lambda *_: {}, typing=slow_to_end)
        async with _typing(TenantSlug("acme"), cast("Thinking", Fake(channel))):
            await thought.wait()

    running = asyncio.create_task(run())
    await asyncio.sleep(0.02)
    thought.set()
    await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


class Fake:
    """As much of `Thinking` as is looked at."""

    def __init__(self, channel: Channel) -> None:
        self.channel, self.conversation = channel, object()
