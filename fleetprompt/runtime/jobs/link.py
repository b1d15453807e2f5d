"""The connection to a broker: made anew whenever it fails, falls silent, or lost what it needs on the far side."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from taskiq import AckableMessage, BrokerMessage

from fleetprompt.kernel import clock
from fleetprompt.runtime.jobs.carriers import START_S, Carrier, close
from fleetprompt.runtime.jobs.endings import end_tasks
from fleetprompt.telemetry import metrics

log = structlog.get_logger("fleetprompt.broker")

ANSWER_S: Final = 3.0
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0


class Link:
    """Up while messages can be sent and received. Its owner sets `room` when it can take more."""

    def __init__(
        self,
        make: Callable[[], Awaitable[Carrier]],
        has_room: Callable[[], bool],
        has_arrived: Callable[[], None],
        changed: Callable[[], None],
        check_every_s: float,
    ) -> None:
        self._make = make
        self._has_room = has_room
        self._has_arrived = has_arrived
        self._changed = changed
        self._check_every_s = check_every_s
        self._carrier: Carrier | None = None
        self._broken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.was_tried = False
        self.room = asyncio.Event()
        self.arrived: list[AckableMessage] = []

    @property
    def is_up(self) -> bool:
        """Whether messages can be sent and received, as far as we know."""
        return self._carrier is not None and not self._broken.is_set()

    def start(self) -> None:
        """Connect, in the background."""
        self._task = asyncio.create_task(self._keep_up(), name="fleetprompt-link")

    async def stop(self) -> None:
        """Close the connection; what has arrived stays where it is."""
        self._stopped = True
        await end_tasks(self._task)

    async def send(self, *messages: BrokerMessage) -> bool:
        """Whether the broker has taken all. Where it has not, some may arrive all the same."""
        carrier = self._carrier
        if carrier is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_S):
                sending = (carrier.broker.kick(message) for message in messages)
                outcomes = await asyncio.gather(*sending, return_exceptions=True)
        except TimeoutError as error:
            outcomes = [error]
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failed:  # whatever a library may raise; one that closes cancels what still waits in it
            self._give_up(failed[0])
        return not failed

    def _give_up(self, error: BaseException) -> None:
        log.warning("broker.failed", error=type(error).__name__)
        self._broken.set()

    async def _keep_up(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopped:
            began_s = clock.monotonic_s()
            try:
                await self._hold()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._stopped or task is None or task.cancelling():
                    raise
                log.warning("broker.away", error="cancelled by its library")
            except Exception as error:  # noqa: BLE001 - whatever a library may raise: said, then tried again
                log.warning("broker.away", error=type(error).__name__)
            if clock.monotonic_s() - began_s > LONGEST_WAIT_S:  # it was of use; one that falls at once is not
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    async def _hold(self) -> None:
        """One connection, from its start to its end."""
        carrier: Carrier | None = None
        try:
            carrier = await self._make()
            async with asyncio.timeout(START_S):
                await carrier.broker.startup()
            self._broken.clear()
            self._tell(carrier)
            await self._until_broken(carrier)
        finally:
            self._tell(None)
            if carrier is not None:
                await close(carrier.broker)

    async def _until_broken(self, carrier: Carrier) -> None:
        parts = [
            asyncio.create_task(self._read(carrier), name="fleetprompt-link-read"),
            asyncio.create_task(self._watch(carrier), name="fleetprompt-link-watch"),
            asyncio.create_task(self._wait_until_given_up(), name="fleetprompt-link-broken"),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(*parts)
        ended = done.pop()
        error = None if ended.cancelled() else ended.exception()
        if error is not None:
            log.warning("broker.failed", error=type(error).__name__)

    async def _read(self, carrier: Carrier) -> None:
        """Only as much as its owner has room for, so that what we cannot run is left to others."""
        messages = carrier.broker.listen()
        async with contextlib.aclosing(messages):
            while True:
                while not carrier.reads_ahead and not self._has_room():
                    self.room.clear()
                    await self.room.wait()
                message = await anext(messages)
                assert isinstance(message, AckableMessage)
                self.arrived.append(message)
                self._has_arrived()

    async def _watch(self, carrier: Carrier) -> None:
        while True:
            await asyncio.sleep(self._check_every_s)
            async with asyncio.timeout(ANSWER_S):
                await carrier.check()

    async def _wait_until_given_up(self) -> None:
        await self._broken.wait()

    def _tell(self, carrier: Carrier | None) -> None:
        self._carrier, self.was_tried = carrier, True
        metrics.BROKER_UP.set(int(carrier is not None))
        log.info("broker.up" if carrier is not None else "broker.down")
        self._changed()
