"""Conversations and their messages, as projected from what came in and what went out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from adapters.contract import Place
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Message
from fleetprompt.tenancy import TenantSession

# ruff: noqa: S608 - constants of this very file
ConversationKey = tuple[str, str]
"""(channel id, thread id)"""


def conversation_key(place: Place, external_id: str) -> ConversationKey:
    """Where a message belongs: its thread; at top level one of its own, but for a direct message's single stream."""
    if place.thread_id or place.channel_kind == "direct":
        return place.channel_id, place.thread_id
    return place.channel_id, external_id


# One round trip: the known ones, a changed channel name taken over, the missing ones made (in order of their keys, so
# that two who make the same ones do not wait for each other crosswise). Each is looked for by itself: joined, Postgres
# would read all conversations of the installation for a few.
_FIND = Sql("""
with place as (
    select * from unnest(cast(:ids as uuid[]), cast(:channel_ids as text[]), cast(:thread_ids as text[]),
        cast(:channel_kinds as text[]), cast(:channel_names as text[]))
        as place (id, channel_id, thread_id, channel_kind, channel_name)),
found as (
    select c.id, p.channel_id, p.thread_id, c.channel_name, p.channel_name as new_name from place p
    cross join lateral (select id, channel_name from conversations where installation_id = :installation_id
        and channel_id = p.channel_id and thread_id = p.thread_id limit 1) c),
renamed as (
    update conversations c set channel_name = f.new_name from found f
    where c.id = f.id and f.new_name <> '' and f.new_name <> f.channel_name),
made as (
    insert into conversations (id, installation_id, channel_id, thread_id, channel_kind, channel_name)
    select id, :installation_id, channel_id, thread_id, channel_kind, channel_name from place p
    where not exists (select 1 from found f where f.channel_id = p.channel_id and f.thread_id = p.thread_id)
    order by channel_id, thread_id
    on conflict do nothing returning id, channel_id, thread_id)
select channel_id, thread_id, id from found union all select channel_id, thread_id, id from made
""")


async def find_conversations(
    session: TenantSession, installation_id: UUID, places: Mapping[ConversationKey, Place]
) -> dict[ConversationKey, UUID]:
    """The conversation of each key, made where there is none."""
    values = _place_columns(installation_id, places)
    found = {(row[0], row[1]): row[2] for row in await session.fetch(_FIND, values)}
    if len(found) < len(places):  # somebody else made one in between; it is committed now
        found |= {(row[0], row[1]): row[2] for row in await session.fetch(_FIND, values)}
    return found


def _place_columns(installation_id: UUID, places: Mapping[ConversationKey, Place]) -> dict[str, Any]:
    return {
        "installation_id": installation_id,
        "ids": [new_id() for _ in places],
        "channel_ids": [channel_id for channel_id, _ in places],
        "thread_ids": [thread_id for _, thread_id in places],
        "channel_kinds": [place.channel_kind for place in places.values()],
        "channel_names": [place.channel_name for place in places.values()],
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
    said_in_fact: bool = False


COLUMNS: Final = {
    "id": "uuid",
    "conversation_id": "uuid",
    "external_id": "text",
    "author_kind": "text",
    "author_id": "text",
    "author_name": "text",
    "text": "text",
    "sent_at_ms": "bigint",
    "signal_id": "uuid",
    "directive_id": "uuid",
    "edited": "boolean",
    "deleted": "boolean",
    "said_in_fact": "boolean",
}
"""Of a projected message, with their types."""
_NAMES = ", ".join(COLUMNS)
_ARRAYS = ", ".join(f"cast(:{name} as {kind}[])" for name, kind in COLUMNS.items())
_KNOWN = Sql(
    f"select {_NAMES} from messages where installation_id = :installation_id and external_id = any(:external_ids)"
)
_SAVE = Sql(f"""
insert into messages (installation_id, {_NAMES})
select :installation_id, message.* from unnest({_ARRAYS}) as message ({_NAMES}) order by external_id
on conflict (installation_id, external_id) do update set text = excluded.text, edited = excluded.edited,
    deleted = excluded.deleted, said_in_fact = excluded.said_in_fact, signal_id = coalesce(messages.signal_id, excluded.signal_id),
    directive_id = coalesce(messages.directive_id, excluded.directive_id)
""")


async def known_messages(
    session: TenantSession, installation_id: UUID, external_ids: Iterable[str]
) -> dict[str, Projected]:
    """Those of these messages that are there already."""
    values = {"installation_id": installation_id, "external_ids": list(set(external_ids))}
    found = [Projected(*row) for row in await session.fetch(_KNOWN, values)]
    return {message.external_id: message for message in found}


async def save_messages(session: TenantSession, installation_id: UUID, messages: Sequence[Projected]) -> None:
    """Insert new ones; of known ones take over wording, edits, deletion and what is still missing."""
    if not messages:
        return
    columns = {name: [getattr(message, name) for message in messages] for name in COLUMNS}
    await session.fetch(_SAVE, {"installation_id": installation_id, **columns})


async def mark_thread_deleted(session: TenantSession, conversation_id: UUID) -> None:
    """A root was taken back, and with it all of its thread."""
    gone = update(Message).where(Message.conversation_id == conversation_id, Message.deleted.is_(False))
    await session.execute(gone.values(deleted=True, text=""))
