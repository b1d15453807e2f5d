"""The listener: holds leases on connections, and runs a line for each; what fails in one disturbs no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from uuid import UUID

import structlog

from fleetprompt.connectors import leases
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.leases import Held
from fleetprompt.connectors.line import Line
from fleetprompt.database.engine import is_away
from fleetprompt.kernel import clock
from fleetprompt.kernel.ids import new_id
from fleetprompt.packages.house import House

log = structlog.get_logger("fleetprompt.listener")

STOP_TIMEOUT_S = 2.0
LAST_WORD_S = 0.5


class Listener:
    """Listens for enabled installations until told to stop; several listeners share them."""

    def __init__(self, house: House, bindings: Mapping[str, Binding]) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
        self.lines: dict[UUID, tuple[Line, asyncio.Task[None]]] = {}
        self._house = house
        self._bindings = bindings
        self._closing: set[asyncio.Task[None]] = set()
        self._beat_at_s = clock.monotonic_s()

    async def serve(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then connections are closed and handed to whoever else listens."""
        settings = self._house.settings
        period_s = min(1.0, settings.heartbeat_s)
        log.info("listener.started", listener=self.id)
        try:
            while not stop.is_set():
                await self._look_after()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), period_s)
        finally:
            await self._wind_up()

    async def _look_after(self) -> None:
        began_s, lease_s = clock.monotonic_s(), self._house.settings.lease_s
        try:
            async with asyncio.timeout(lease_s):
                held = await leases.hold(self._house.tenancy.database, self.id, list(self._bindings), lease_s)
        except Exception as error:
            if not (is_away(error) or isinstance(error, TimeoutError)):
                log.error("listener.failed", exc_info=error)
            if clock.monotonic_s() - self._beat_at_s > lease_s:
                self._abandon("its lease could not be prolonged")
            return
        self._beat_at_s = began_s
        self._follow({item.installation_id: item for item in held})

    def _follow(self, held: Mapping[UUID, Held]) -> None:
        """Run exactly the lines of what is held, each with its newest settings."""
        for installation_id, (line, task) in list(self.lines.items()):
            wanted = held.get(installation_id)
            if wanted is None or wanted != line.held or task.done():
                self._end(installation_id, with_last_word=wanted is None)
        for installation_id, item in held.items():
            if installation_id not in self.lines:
                line = Line(self._house, self._bindings[item.connector], item)
                self.lines[installation_id] = (
                    line,
                    asyncio.create_task(line.run(), name=f"line {item.tenant}"),
                )

    def _abandon(self, reason: str) -> None:
        """Another listener may hold them by now."""
        for installation_id in list(self.lines):
            log.warning("listener.abandoned", installation=str(installation_id), reason=reason)
            self._end(installation_id, with_last_word=False)

    def _end(self, installation_id: UUID, *, with_last_word: bool) -> None:
        line, task = self.lines.pop(installation_id)
        closing = asyncio.create_task(_close(line, task, with_last_word), name="closing")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _wind_up(self) -> None:
        for installation_id in list(self.lines):
            self._end(installation_id, with_last_word=True)
        await self._close_in_time()
        try:
            async with asyncio.timeout(LAST_WORD_S):
                await leases.let_go(self._house.tenancy.database, self.id)
        except Exception as error:
            if not (is_away(error) or isinstance(error, TimeoutError)):
                raise
        log.info("listener.stopped", listener=self.id)

    async def _close_in_time(self) -> None:
        closing = list(self._closing)
        if closing:
            _, late = await asyncio.wait(closing, timeout=STOP_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)


async def _close(line: Line, task: asyncio.Task[None], with_last_word: bool) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if with_last_word:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await line.health.close()
