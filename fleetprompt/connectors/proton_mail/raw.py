"""A mail's raw bytes in the tenant's own tables, in chunks: attachments of any size, and never a file on a disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from fleetprompt.database.driver import Sql
from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import MailChunk, Signal
from fleetprompt.tenancy import TenantSession

CHUNK_BYTES: Final = 256 * 1024
STATEMENT_BYTES: Final = 1024 * 1024  # what one statement carries, so that memory stays bounded

_SAVE = Sql("""
insert into mail_chunks (signal_id, number, body)
select * from unnest(cast(:signals as uuid[]), cast(:numbers as bigint[]), cast(:bodies as bytea[]))
""")


async def save(session: TenantSession, mails: Sequence[tuple[UUID, bytes]]) -> None:
    """(signal, raw bytes) of fresh signals."""
    waiting: list[tuple[UUID, int, bytes]] = []
    size = 0
    for signal_id, raw in mails:
        for number, start in enumerate(range(0, len(raw), CHUNK_BYTES)):
            piece = raw[start : start + CHUNK_BYTES]
            waiting.append((signal_id, number, piece))
            size += len(piece)
            if size >= STATEMENT_BYTES:
                await _flush(session, waiting)
                waiting, size = [], 0
    await _flush(session, waiting)


async def _flush(session: TenantSession, waiting: Sequence[tuple[UUID, int, bytes]]) -> None:
    if waiting:
        signals, numbers, bodies = zip(*waiting, strict=True)
        columns = {"signals": list(signals), "numbers": list(numbers), "bodies": list(bodies)}
        await session.fetch(_SAVE, columns)


async def read(session: TenantSession, signal_id: UUID) -> bytes:
    """The whole mail. Raises NotFound once its retention is over, and for one that never had bytes."""
    query = select(MailChunk.body).where(MailChunk.signal_id == signal_id).order_by(MailChunk.number)
    pieces = list(await session.scalars(query))
    if not pieces:
        raise await _missing(session, signal_id)
    return b"".join(pieces)


async def _missing(session: TenantSession, signal_id: UUID) -> NotFound:
    """Why: the fact of a mail goes with its bytes, so one that is there came without."""
    signal = await session.get(Signal, signal_id)
    why = (signal.payload.get("quarantine") or {}).get("reason") if signal is not None else None
    look = "Look at it in the mailbox itself."
    if why == "not_given":
        return NotFound("The server never gave its bytes.", look)
    if why == "empty":
        return NotFound("The mail is empty.", look)
    return NotFound(
        "The raw mail is not there: its retention is over, or this is no mail.",
        "See: fleetprompt signals list --org ... --name 'email.*'",
    )
