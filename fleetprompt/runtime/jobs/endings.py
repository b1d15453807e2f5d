"""Ending tasks that run other people's code."""

from __future__ import annotations

import asyncio
from typing import Any, Final

AGAIN_S: Final = 0.3
TIMES: Final = 10


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel until they have ended: a library that catches CancelledError swallows one cancellation."""
    waiting = {task for task in tasks if task is not None and not task.done()}
    for _ in range(TIMES):
        if not waiting:
            break
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_S)
    ended = [task for task in tasks if task is not None and task.done()]
    await asyncio.gather(*ended, return_exceptions=True)
