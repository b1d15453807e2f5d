"""What follows when a post arrived: it joins its conversation, and the fact is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from adapters.contract import Place
from fleetprompt.connectors.conversations import conversation_key, find_conversations
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Directive
from fleetprompt.runtime.signals import Actor, NewSignal
from fleetprompt.tenancy import TenantSession

_REQUESTS = Sql("select request from effects where directive_id = :directive_id order by part")
# The echo may have come first: then only the directive is added.
_SAVE = Sql("""
insert into messages (id, installation_id, conversation_id, external_id, author_kind, author_id, author_name, text,
    sent_at_ms, directive_id)
select sent.id, i.id, sent.conversation_id, sent.external_id, 'self', coalesce(i.account ->> 'id', ''),
    coalesce(i.account ->> 'name', ''), e.request ->> 'text', sent.sent_at_ms, e.directive_id
from unnest(cast(:ids as uuid[]), cast(:conversation_ids as uuid[]), cast(:external_ids as text[]),
    cast(:times as bigint[]), cast(:parts as int[])) as sent (id, conversation_id, external_id, sent_at_ms, part)
join effects e on e.directive_id = :directive_id and e.part = sent.part
join installations i on i.id = :installation_id order by sent.external_id
on conflict (installation_id, external_id) do update
    set directive_id = coalesce(messages.directive_id, excluded.directive_id)
""")
Receipts = Sequence[dict[str, Any]]


async def note_sent(session: TenantSession, directive: Directive, receipts: Receipts) -> Sequence[NewSignal]:
    """The `delivered` hook of a directive that posts."""
    posted = [receipt for receipt in receipts if "external_id" in receipt]  # a person's word has no id
    if posted:
        await _project(session, directive, receipts)
    return [_signal(directive, posted)]


async def _project(session: TenantSession, directive: Directive, receipts: Receipts) -> None:
    """Our posts as messages."""
    sent = [(part, receipt) for part, receipt in enumerate(receipts) if "external_id" in receipt]
    values = {
        "installation_id": directive.installation_id,
        "directive_id": directive.id,
        "ids": [new_id() for _ in sent],
        "external_ids": [receipt["external_id"] for _, receipt in sent],
        "times": [int(receipt["sent_at_ms"]) for _, receipt in sent],
        "parts": [part for part, _ in sent],
        "conversation_ids": await _conversations(session, directive, sent),
    }
    await session.fetch(_SAVE, values)


async def _conversations(
    session: TenantSession, directive: Directive, sent: Sequence[tuple[int, dict[str, Any]]]
) -> list[UUID]:
    """Where each post went; one that answers nothing at top level begins a conversation of its own."""
    if directive.conversation_id is not None:
        return [directive.conversation_id] * len(sent)
    assert directive.installation_id is not None, "a post needs an installation"
    requests = [row[0] for row in await session.fetch(_REQUESTS, {"directive_id": directive.id})]
    keys = {}
    for part, receipt in sent:
        request = requests[part]
        place = Place(request["channel_id"], request["channel_kind"], request["thread_id"])
        keys[part] = conversation_key(place, receipt["external_id"]), place
    found = await find_conversations(session, directive.installation_id, dict(keys.values()))
    return [found[keys[part][0]] for part, _ in sent]


def _signal(directive: Directive, posted: Receipts) -> NewSignal:
    return NewSignal(
        "chat.message.sent",
        {
            "directive_id": str(directive.id),
            "installation_id": str(directive.installation_id),
            "conversation_id": str(directive.conversation_id) if directive.conversation_id else None,
            "external_ids": [receipt["external_id"] for receipt in posted],
            "channel_id": directive.arguments["channel_id"],
            "thread_id": directive.arguments["thread_id"],
            "found": any(receipt.get("found") for receipt in posted),
        },
        Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
        dedupe_key=f"chat.message.sent:{directive.id}",
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        installation_id=directive.installation_id,
        conversation_id=directive.conversation_id,
    )
