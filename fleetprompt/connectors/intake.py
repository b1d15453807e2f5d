"""Keep what a line read, however long that takes: nothing is lost, and nothing holds up what comes after it.

While Postgres is away, or wrong in itself, a batch waits. An event that cannot be stored although Postgres is well is
found by storing its batch one by one; it is set aside as a fact with its raw bytes, and reading goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from adapters.contract import Inbound
from adapters.errors import Misconfigured
from fleetprompt.connectors import observe, pasted
from fleetprompt.connectors.health import HealthRecorder
from fleetprompt.connectors.ingest import Source, Superseded, ingest, save_cursor
from fleetprompt.database.engine import is_away, is_full
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.json import clean_text
from fleetprompt.packages.house import House
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.telemetry import span

log = structlog.get_logger("fleetprompt.listener")

BATCH_TRIES = 3  # then its events are stored one by one
FIRST_WAIT_S = 0.5
WAIT_MOST_S = 30.0
AWAY_MOST_S = 3.0  # while Postgres is away, which is ours: what waits for it goes on soon after it is back
MAX_RAW_BYTES = 256 * 1024
MAX_KEY_CHARS = 200
# SQLSTATE classes that blame the values: data exception, integrity, a limit of an index.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
BLAMED: Final = ("22", "23", "54")


class Intake:
    """The way of one line's events into the database."""

    def __init__(self, house: House, health: HealthRecorder) -> None:
        self._house = house
        self._health = health
        self._failures = 0

    async def keep(self, source: Source, batch: Sequence[Inbound]) -> None:
        """Store the batch and its last cursor. Raises Superseded when it is no longer ours to store."""
        observe.received(source, batch)
        for _ in range(BATCH_TRIES):
            if await self._fault_of(source, batch) is None:
                return
            await self._pause()
        for event in batch:
            await self._keep_one(source, event)

    async def _keep_one(self, source: Source, event: Inbound) -> None:
        while (fault := await self._fault_of(source, [event])) is not None:
            if await self._is_set_aside(source, event, fault):
                return

    async def _fault_of(self, source: Source, batch: Sequence[Inbound]) -> Exception | None:
        """None once it is stored; otherwise what is wrong with these events, after all that was wrong with Postgres."""
        while True:
            try:
                with span("ingest", org=source.tenant, package=source.package, events=len(batch)):
                    emitted = await ingest(self._house.tenancy, self._house.registry, source, batch)
            except Superseded:
                raise
            except Exception as error:
                if _blames_the_event(error):
                    log.warning("line.not_storable", org=source.tenant, events=len(batch), exc_info=error)
                    return error
                await self._wait_out(source, error)
                continue
            self._is_well()
            observe.stored(source, emitted)
            return None

    async def _is_set_aside(self, source: Source, event: Inbound, fault: Exception) -> bool:
        """The event as a fact for a person, and the cursor behind it."""
        try:
            async with self._house.tenancy.session(source.tenant) as session:
                raw = await pasted.raw_to_keep(session, source.installation_id, event)
                await emit(session, self._house.registry, _unreadable(source, event, raw, fault))
                await save_cursor(session, source, event.cursor)
        except Superseded:
            raise
        except Exception as error:  # noqa: BLE001 - recorded; then the event is tried again from the beginning
            await self._wait_out(source, error)
            return False
        self._is_well()
        observe.unreadable(source, fault)
        return True

    def _is_well(self) -> None:
        self._failures = 0
        self._health.saw_events()
        self._health.mended()

    async def _wait_out(self, source: Source, error: Exception) -> None:
        if not is_away(error):
            log.error("line.not_stored", org=source.tenant, exc_info=error)
            words = f"cannot store what came in ({error_name(error)})"
            self._health.failed(Misconfigured(words, advice="Run: fleetprompt doctor."))
        await self._pause(AWAY_MOST_S if is_away(error) and not is_full(error) else WAIT_MOST_S)

    async def _pause(self, most_s: float = WAIT_MOST_S) -> None:
        self._failures += 1
        wait_s = min(most_s, FIRST_WAIT_S * 2.0 ** min(self._failures - 1, 10))
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))


def error_name(error: BaseException) -> str:
    """The class of what the driver raised."""
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    return type(cause or error).__name__


def _blames_the_event(error: Exception) -> bool:
    """Whether storing this very event can never work. In doubt it can: then it waits, visibly."""
    if is_away(error):
        return False
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)  # None: the driver could not even encode it
        return state is None or state.startswith(BLAMED)
    return not isinstance(error, FleetPromptError)


def _unreadable(source: Source, event: Inbound, raw: bytes, fault: Exception) -> NewSignal:
    digest = hashlib.sha256(event.event_key.encode("utf-8", "replace")).hexdigest()
    return NewSignal(
        "integration.event.unreadable",
        {
            "installation_id": str(source.installation_id),
            "package": source.package,
            "event_key": clean_text(event.event_key[:MAX_KEY_CHARS]),
            "kind": event.kind.value,
            "error": error_name(fault),
            "raw_bytes": len(event.raw),
        },
        Actor("integration", str(source.installation_id), source.package),
        dedupe_key=f"{source.installation_id}:unreadable:{digest}",
        installation_id=source.installation_id,
        raw=raw[:MAX_RAW_BYTES],
    )
