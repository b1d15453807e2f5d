"""Reading one folder: what came since the last UID, in batches of bounded size, fetched and parsed ahead while the caller stores."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from adapters.contract import Observer
from adapters.proton_mail.ahead import Room, Started, ahead
from adapters.proton_mail.cursor import NOT_READ, Position
from adapters.proton_mail.fetch import Fetcher, Item
from adapters.proton_mail.imap import ImapConnection, Selected
from adapters.proton_mail.imap_words import Envelope
from adapters.proton_mail.mail import Mail, Quarantine
from adapters.proton_mail.normalise import MailReceived, received
from adapters.proton_mail.parser import Share
from adapters.proton_mail.settings import ProtonMailSettings

ENVELOPES: Final = 500  # UIDs a command: more made aioimaplib recurse, and servers slow
AHEAD: Final = 3  # chunks, beside the one that the caller is told of
AHEAD_BYTES: Final = 2 * 1024 * 1024  # of all of them, but at least one mail
CHUNK_MAILS: Final = 16
CHUNK_BYTES: Final = 512 * 1024
DAY_S: Final = 24 * 3600
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some mails of a batch, of so many bytes; or a batch's end, with the UID that it reaches to."""

    items: Sequence[Item] = ()
    size: int = 0
    read: asyncio.Task[list[Mail | Quarantine]] | None = None
    last_uid: int = 0


class FolderReader:
    """Moves one position through folders."""

    def __init__(
        self, settings: ProtonMailSettings, parser: Share, position: Position, observer: Observer
    ) -> None:
        self._settings = settings
        self._pace = settings.pace
        self._parser = parser
        self._position = position
        self._observer = observer
        self._fetcher = Fetcher(settings.limits.mail_bytes, settings.pace)

    async def news(self, connection: ImapConnection, folder: str) -> AsyncGenerator[MailReceived, None]:
        """What is new in the folder, in the order of UIDs; the position has moved when a mail is yielded."""
        selected = await connection.examine(folder)
        uids = await self._new_uids(connection, folder, selected)
        waiting = len(uids)
        fetched = ahead(self._fetched(connection, folder, selected, uids))
        async with (
            Started() as started,
            aclosing(fetched),
            aclosing(self._read_in(fetched, started, waiting)) as chunks,
        ):
            async for chunk in chunks:
                if chunk.read is not None:
                    for (one, _), mail in zip(chunk.items, await chunk.read, strict=True):
                        self._position.reached(folder, selected.uid_validity, one.uid, one.received_at_ms)
                        yield received(one, mail, self._settings)
                if chunk.last_uid:
                    self._position.reached(folder, selected.uid_validity, chunk.last_uid)
        self._observer.backlog(0)

    async def _fetched(
        self, connection: ImapConnection, folder: str, selected: Selected, uids: Sequence[int]
    ) -> AsyncGenerator[tuple[deque[Item], int], None]:
        """Batches, each with the UID that it reaches to; those without a mail that is told too."""
        for start in range(0, len(uids), ENVELOPES):
            asked = uids[start : start + ENVELOPES]
            envelopes = await connection.envelopes(asked)
            told = [one for one in envelopes if one.received_at_ms >= self._position.floor_ms]
            for batch in self._batches(folder, selected, told):
                items = await self._fetcher.fetch(connection, folder, selected, batch, told)
                yield items, batch[-1].uid
            yield deque(), asked[-1]

    async def _new_uids(self, connection: ImapConnection, folder: str, selected: Selected) -> list[int]:
        """The UIDs to look at: behind the last one, or all that are recent enough."""
        before = self._position.of(folder)
        if before is None:  # named in the settings later, or no start was set: what stands there is history
            self._position.reached(folder, selected.uid_validity, selected.uid_next - 1)
            return []
        if before[0] == selected.uid_validity:
            last = before[1]
            if selected.uid_next <= last + 1:
                return []
            # `n:*` also gives the last mail when there is none so high.
            return [uid for uid in await connection.search("UID", f"{last + 1}:*") if uid > last]
        if before != NOT_READ:
            self._position.rebuilt(self._pace.rescan_ms)
        return await connection.search("SINCE", _day_before(self._position.floor_ms))

    def _batches(
        self, folder: str, selected: Selected, envelopes: Sequence[Envelope]
    ) -> Iterator[list[Envelope]]:
        """Few enough bytes at once, but at least one mail; one that is suspected of breaking connections comes alone."""
        batch: list[Envelope] = []
        size = 0
        for one in envelopes:
            is_full = size + one.size_bytes > self._pace.batch_bytes or len(batch) >= self._pace.batch_mails
            is_alone = self._fetcher.suspects((folder, selected.uid_validity, one.uid))
            if batch and (is_full or is_alone):
                yield batch
                batch, size = [], 0
            if is_alone:
                yield [one]
                continue
            batch.append(one)
            size += one.size_bytes
        if batch:
            yield batch

    async def _read_in(
        self, batches: AsyncGenerator[tuple[deque[Item], int], None], started: Started, waiting: int
    ) -> AsyncGenerator[_Chunk, None]:
        """Chunks in order, some of them on their way through the parser ahead of the caller."""
        room = Room(AHEAD_BYTES)
        async with aclosing(ahead(self._chunks(batches, started, room, waiting), AHEAD)) as chunks:
            async for chunk in chunks:
                yield chunk
                room.give_back(chunk.size)

    async def _chunks(
        self,
        batches: AsyncGenerator[tuple[deque[Item], int], None],
        started: Started,
        room: Room,
        waiting: int,
    ) -> AsyncGenerator[_Chunk, None]:
        """The parser does not stand still where a batch ends."""
        async for fetched, last_uid in batches:
            self._observer.backlog(waiting)
            waiting = max(0, waiting - len(fetched))
            while fetched:
                items = _chunk(fetched)
                size = sum(len(one.raw) for one, _ in items)
                await room.take(size)
                yield _Chunk(items, size, started.add(asyncio.create_task(self._read(items))))
            yield _Chunk(last_uid=last_uid)

    async def _read(self, items: Sequence[Item]) -> list[Mail | Quarantine]:
        """What is set aside already needs no parser."""
        raws = [one.raw for one, why in items if why is None]
        parsed = iter(
            await self._parser.parse_all(raws, self._settings.own_addresses, self._settings.limits)
            if raws
            else []
        )
        return [next(parsed) if why is None else why for _, why in items]


def _chunk(fetched: deque[Item]) -> list[Item]:
    """The next few: together they cost the parser's process one change of turns, and no other account waits long."""
    items = [fetched.popleft()]
    size = len(items[0][0].raw)
    while fetched and len(items) < CHUNK_MAILS and size + len(fetched[0][0].raw) <= CHUNK_BYTES:
        items.append(fetched.popleft())
        size += len(items[-1][0].raw)
    return items


def _day_before(at_ms: int) -> str:
    """SINCE counts whole days, in the server's own zone."""
    day = time.gmtime(max(0, at_ms // 1000 - DAY_S))
    return f"{day.tm_mday}-{_MONTHS[day.tm_mon - 1]}-{day.tm_year}"
