"""A few calls of one installation at a time: what hangs at its far side must not use up the worker's slots."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

MOST_AT_ONCE = 6
MAX_REMEMBERED = 10_000


class Bulkhead:
    """Turns at a far side, in this process."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._turns: OrderedDict[UUID, asyncio.Semaphore] = OrderedDict()

    @asynccontextmanager
    async def turn(self, installation_id: UUID, patience_s: float) -> AsyncIterator[bool]:
        """Wait for a turn, no longer than `patience_s`. Yields whether there was one; it ends with the block."""
        turns = self._turns.setdefault(installation_id, asyncio.Semaphore(self._most))
        self._turns.move_to_end(installation_id)
        if len(self._turns) > MAX_REMEMBERED:
            self._turns.popitem(last=False)
        try:
            await asyncio.wait_for(turns.acquire(), patience_s)
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            turns.release()
