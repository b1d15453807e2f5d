"""One installation's line: connect, read, store, acknowledge; after any fault again. It never ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

import structlog
from sqlalchemy import select

from adapters.contract import Adapter, Cursor, Inbound
from adapters.errors import AdapterError, Misconfigured, Passing, RateLimited, Remedy, Unreachable
from fleetprompt.connectors import observe
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.connectors.health import HealthRecorder
from fleetprompt.connectors.ingest import Source, Superseded
from fleetprompt.connectors.intake import Intake
from fleetprompt.connectors.leases import Held
from fleetprompt.connectors.pool import OTHER_ACCOUNT, OTHER_ACCOUNT_ADVICE
from fleetprompt.database.engine import is_away
from fleetprompt.kernel import faults
from fleetprompt.model import Installation, InstallationCursor
from fleetprompt.packages.house import House

log = structlog.get_logger("fleetprompt.listener")

BATCH = 100  # events in one transaction
BATCH_BYTES = 2 * 1024 * 1024  # and their raw bytes, but at least one event
BUFFERED = 300  # events read ahead of the transactions
BUFFERED_BYTES = 8 * 1024 * 1024  # and their raw bytes, but at least one event: a mail may have 25 MB
LONG_BYTES = 64 * 1024  # of an event's raw bytes: beyond it working it out holds up no other line
ASK_AGAIN_S = 60.0  # after what a person has to mend; a change of settings is seen at once
BACKOFF_MOST_S = 30.0
SUPERSEDED_S = 1.0  # the supervisor is about to end this line


@dataclass(frozen=True, slots=True)
class _Ended:
    """The adapter's reading is over, with this fault if with any."""

    error: Exception | None


class Line:
    """Listens for one installation with one generation of its settings."""

    def __init__(self, house: House, binding: Binding, held: Held) -> None:
        self.held = held
        self.health = HealthRecorder(house.tenancy, house.registry, held)
        self._intake = Intake(house, self.health)
        self._house = house
        self._binding = binding
        self._failures = 0

    async def run(self) -> None:
        """For ever."""
        writer = asyncio.create_task(self.health.run(), name="health")
        try:
            while True:
                wait_s = await self._listen_once()
                await asyncio.sleep(wait_s)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _listen_once(self) -> float:
        """Listen until a fault; returns the seconds to wait before the next time."""
        try:
            await self._listen()
        except AdapterError as error:
            log.warning("line.fault", org=self.held.tenant, code=error.code, error=error.detail)
            self.health.failed(error)
            if isinstance(error, RateLimited):
                observe.limited(self.held.tenant, self.held.connector, "theirs")
            if error.remedy is Remedy.ASK_HUMAN:
                return ASK_AGAIN_S
            return self._backoff_s(error.retry_after_s if isinstance(error, Passing) else None)
        except Superseded:
            return SUPERSEDED_S
        except Exception as error:
            if not is_away(error):
                log.error("line.failed", org=self.held.tenant, exc_info=error)
                self.health.failed(
                    Misconfigured(f"an unexpected {type(error).__name__}", advice="See the log.")
                )
        return self._backoff_s(None)

    async def _listen(self) -> None:
        installation, cursor, account = await self._load()
        if installation.generation != self.held.generation:
            raise Superseded("The settings are newer than this line.")
        adapter = self._binding.build(account, self.health)
        try:
            connected = await adapter.open()
            if connected.account_key != self.held.account_key:
                raise Misconfigured(OTHER_ACCOUNT, advice=OTHER_ACCOUNT_ADVICE)
            await self._pump(adapter, self._source(installation, connected.account_name), cursor)
        finally:
            await adapter.close()

    async def _load(self) -> tuple[Installation, Cursor, Account]:
        held, house = self.held, self._house
        await house.vault.key_of(held.tenant)
        async with house.tenancy.session(held.tenant) as session:
            found = select(Installation).where(Installation.id == held.installation_id)
            installation = (await session.scalars(found)).one()
            kept = select(InstallationCursor.cursor).where(
                InstallationCursor.installation_id == held.installation_id
            )
            cursor = Cursor(await session.scalar(kept) or "")
            secrets = await house.vault.read_all(session, held.installation_id)
        return installation, cursor, Account(installation.config, secrets, installation.start_at_ms)

    def _source(self, installation: Installation, account_name: str) -> Source:
        return Source(
            self.held.tenant,
            installation.id,
            self.held.generation,
            installation.package,
            lambda text: self._binding.request(account_name, text),
            installation.config.get("allowed_bots", ()),
            self._binding.batch,
            self._binding.prepare,
        )

    async def _pump(self, adapter: Adapter, source: Source, cursor: Cursor) -> None:
        queue = Ahead(BUFFERED)
        self.health.read_ahead = queue.qsize
        reader = asyncio.create_task(_read(adapter, source, cursor, queue), name="reader")
        try:
            while True:
                batch, ended = await _next_batch(queue)
                if batch:
                    await self._intake.keep(source, batch)
                    await adapter.ack(batch[-1].cursor)
                    faults.reach("ingest.acked")
                    self._failures = 0
                if ended is not None:
                    if ended.error is not None:
                        raise ended.error
                    return
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _backoff_s(self, asked_s: float | None) -> float:
        self._failures += 1
        wait_s = min(BACKOFF_MOST_S, 0.5 * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.5, 1.0)
        return max(wait_s, asked_s or 0.0)


class Ahead(asyncio.Queue["Inbound | _Ended"]):
    """What was read and not stored yet, bounded by number and by bytes."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def full(self) -> bool:
        """Whether reading has to wait."""
        return super().full() or self._bytes >= BUFFERED_BYTES

    def _put(self, item: Inbound | _Ended) -> None:
        super()._put(item)
        self._bytes += _size(item)

    def _get(self) -> Inbound | _Ended:
        item: Inbound | _Ended = super()._get()
        self._bytes -= _size(item)
        return item


def _size(item: Inbound | _Ended) -> int:
    return 0 if isinstance(item, _Ended) else len(item.raw)


async def _read(adapter: Adapter, source: Source, cursor: Cursor, queue: Ahead) -> None:
    """Move events from the wire into the queue; its fault too, behind all that came before it."""
    try:
        async with contextlib.aclosing(adapter.listen(cursor)) as events:
            async for event in events:
                await queue.put(await _prepared(source, event))
                if source.prepare is not None:
                    await asyncio.sleep(0)  # what is being stored goes on between two events that take long
        await queue.put(_Ended(None))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Its library cancelled itself, not we: unsaid, the line would wait for ever for what nobody reads.
        await queue.put(_Ended(Unreachable("the connection was given up")))
    except Exception as error:  # noqa: BLE001 - carried to the line, which raises it
        await queue.put(_Ended(error))


async def _prepared(source: Source, event: Inbound) -> Inbound:
    """While another batch is being stored. What fails here fails again when it is stored, and is set aside there."""
    if source.prepare is None:
        return event
    try:
        if len(event.raw) > LONG_BYTES:
            return await asyncio.to_thread(source.prepare, source, event)
        return source.prepare(source, event)
    except Exception:  # noqa: BLE001 - see above
        return event


async def _next_batch(queue: Ahead) -> tuple[list[Inbound], _Ended | None]:
    """Wait for one event, then take along what is ready."""
    batch: list[Inbound] = []
    size = 0
    item = await queue.get()
    while not isinstance(item, _Ended):
        batch.append(item)
        size += len(item.raw)
        if len(batch) == BATCH or size >= BATCH_BYTES or queue.empty():
            return batch, None
        item = queue.get_nowait()
    return batch, item
