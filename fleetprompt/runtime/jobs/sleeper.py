"""A worker's sleep: it says that it sleeps, so that NOTIFY is sent to sleepers only, and hears it; it polls as well."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from sqlalchemy import text

from fleetprompt.database.engine import Database, is_away
from fleetprompt.runtime.jobs.endings import end_tasks

log = structlog.get_logger("fleetprompt.broker")

CHANNEL = "fleetprompt_job"
RECONNECT_S = 0.5

# Who is silent and has no session any more is dead (`claim.reap`): the system closes what a killed process held open.
_SIGN = """
with signed as (update public.worker set backend = pg_backend_pid() where id = $1)
select pg_backend_pid()
"""
_SAY = text("update public.worker set idle = :idle where id = :worker")


class Sleeper:
    """Rings its bells at each notification, and whenever one may have been missed."""

    def __init__(self, database: Database, worker: str) -> None:
        self.database = database
        self.worker = worker
        self.idle = False  # as the database has it
        self.asleep = False
        self.rested = False  # slept since the last heartbeat
        self.backend: int | None = None  # pid of the server's process that we listen to
        self.bells: list[asyncio.Event] = []
        self._ear: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to hear notifications."""
        self._ear = asyncio.create_task(self._hear(), name="fleetprompt-listen")

    async def stop(self) -> None:
        """Stop hearing."""
        await end_tasks(self._ear)

    async def lie_down(self) -> bool:
        """Whether we may sleep. The first time we only say so: a job may have come before it was said, so look again."""
        self.asleep = self.rested = True
        if self.idle:
            return True
        try:
            await self._say(idle=True)
            self.idle = True
        except Exception as error:  # noqa: BLE001 - the worker's edge
            await pause(error)
        return False

    def get_up(self) -> None:
        """We sleep no more. Nobody is told at once: a few jobs now and then are not worth a commit each way."""
        self.asleep = False

    def at_heartbeat(self) -> bool:
        """What it is to say of us: idle, unless we were up all the time since the last; then no commit need wake us."""
        says_idle, self.rested = self.rested or self.asleep, self.asleep
        self.idle = self.idle and says_idle
        return says_idle

    def beat(self, *, idle: bool) -> None:
        """The heartbeat is written, perhaps over what we said meanwhile as we lay down: then say it again."""
        if self.idle and not idle:
            self.ring()
        self.idle = idle

    def ring(self) -> None:
        """Wake whoever sleeps here."""
        for bell in self.bells:
            bell.set()

    async def _say(self, *, idle: bool) -> None:
        async with self.database.at_once() as connection:
            await connection.execute(_SAY, {"worker": self.worker, "idle": idle})

    async def _hear(self) -> None:
        """LISTEN on a connection of its own; when it is cut, ring (something may have been missed) and go back."""
        while True:
            try:
                await self._hear_until_cut()
            except Exception as error:  # noqa: BLE001 - the worker's edge
                await pause(error)

    async def _hear_until_cut(self) -> None:
        connection, cut = await self.database.connect_raw(), asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: cut.set())
            self.backend = await connection.fetchval(_SIGN, self.worker)
            await connection.add_listener(CHANNEL, lambda *_: self.ring())
            self.ring()
            await cut.wait()
        finally:
            connection.terminate()


async def nap(bell: asyncio.Event, longest_s: float) -> None:
    """Until the bell rings, or for so long.

    Not by wait_for: before Python 3.12 it loses a cancellation that comes in the moment of the bell.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await bell.wait()


async def pause(error: Exception) -> None:
    """Postgres may be away, or its disk full: say so, wait a moment, and let the caller's loop go round again."""
    if is_away(error):
        log.warning("broker.database_away", error=type(error).__name__)
    else:
        log.error("broker.failed", exc_info=error)
    await asyncio.sleep(RECONNECT_S)
