"""Conversations and their messages, as projected from what came in and what went out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from adapters.contract import Place
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Conversation, Message
from fleetprompt.tenancy import TenantSession

ConversationKey = tuple[str, str]
"""(channel id, thread id)"""


def conversation_key(place: Place, external_id: str) -> ConversationKey:
    """Where a message belongs: its thread; at top level one of its own, but for a direct message's single stream."""
    if place.thread_id or place.channel_kind == "direct":
        return place.channel_id, place.thread_id
    return place.channel_id, external_id


async def find_conversations(
    session: TenantSession, installation_id: UUID, places: Mapping[ConversationKey, Place]
) -> dict[ConversationKey, UUID]:
    """The conversation of each key, made where there is none."""
    found = await _known(session, installation_id, places)
    missing = sorted(set(places) - set(found))
    if missing:
        rows = [_row(installation_id, key, places[key]) for key in missing]
        columns = (Conversation.channel_id, Conversation.thread_id, Conversation.id)
        made = insert(Conversation).on_conflict_do_nothing().returning(*columns)
        found |= {(c, t): i for c, t, i in await session.execute(made, rows)}
    if len(found) < len(places):  # somebody else made one in between; it is committed now
        found |= await _known(session, installation_id, places)
    return found


async def _known(
    session: TenantSession, installation_id: UUID, places: Mapping[ConversationKey, Place]
) -> dict[ConversationKey, UUID]:
    key = tuple_(Conversation.channel_id, Conversation.thread_id)
    query = select(
        Conversation.channel_id, Conversation.thread_id, Conversation.id, Conversation.channel_name
    ).where(Conversation.installation_id == installation_id, key.in_(list(places)))
    found: dict[ConversationKey, UUID] = {}
    for channel_id, thread_id, conversation_id, name in await session.execute(query):
        found[channel_id, thread_id] = conversation_id
        new_name = places[channel_id, thread_id].channel_name
        if new_name and new_name != name:
            renamed = update(Conversation).where(Conversation.id == conversation_id)
            await session.execute(renamed.values(channel_name=new_name))
    return found


def _row(installation_id: UUID, key: ConversationKey, place: Place) -> dict[str, Any]:
    return {
        "id": new_id(),
        "installation_id": installation_id,
        "channel_id": key[0],
        "thread_id": key[1],
        "channel_kind": place.channel_kind,
        "channel_name": place.channel_name,
    }


@dataclass(slots=True)
class Projected:
    """A message as the table will hold it."""

    id: UUID
    conversation_id: UUID
    external_id: str
    author_kind: str
    author_id: str
    author_name: str
    text: str
    sent_at_ms: int
    signal_id: UUID | None = None
    directive_id: UUID | None = None
    edited: bool = False
    deleted: bool = False


async def known_messages(
    session: TenantSession, installation_id: UUID, external_ids: Iterable[str]
) -> dict[str, Projected]:
    """Those of these messages that are there already."""
    query = select(Message).where(
        Message.installation_id == installation_id, Message.external_id.in_(set(external_ids))
    )
    return {row.external_id: _projected(row) for row in await session.scalars(query)}


def _projected(row: Message) -> Projected:
    return Projected(**{name: getattr(row, name) for name in Projected.__slots__})


async def save_messages(session: TenantSession, installation_id: UUID, messages: Sequence[Projected]) -> None:
    """Insert new ones; of known ones take over wording, edits, deletion and what is still missing."""
    if not messages:
        return
    rows = [
        {"installation_id": installation_id, **{n: getattr(m, n) for n in Projected.__slots__}}
        for m in sorted(messages, key=lambda message: message.external_id)
    ]
    new = insert(Message)
    changed = {
        "text": new.excluded.text,
        "edited": new.excluded.edited,
        "deleted": new.excluded.deleted,
        "signal_id": func.coalesce(Message.signal_id, new.excluded.signal_id),
        "directive_id": func.coalesce(Message.directive_id, new.excluded.directive_id),
    }
    upsert = new.on_conflict_do_update(index_elements=["installation_id", "external_id"], set_=changed)
    await session.execute(upsert, rows)


async def mark_thread_deleted(session: TenantSession, conversation_id: UUID) -> None:
    """A root was taken back, and with it all of its thread."""
    gone = update(Message).where(Message.conversation_id == conversation_id, Message.deleted.is_(False))
    await session.execute(gone.values(deleted=True, text=""))
