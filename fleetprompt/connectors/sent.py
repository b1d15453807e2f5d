"""What follows when a post arrived: it joins its conversation, and the fact is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from adapters.contract import Place
from fleetprompt.connectors.conversations import (
    Projected,
    conversation_key,
    find_conversations,
    known_messages,
    save_messages,
)
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Directive, Installation
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

_REQUESTS = Sql("select request from effects where directive_id = :directive_id order by part")
Receipts = Sequence[dict[str, Any]]
Delivered = Callable[[TenantSession, Directive, Receipts], Awaitable[None]]


def tell_sent(registry: Registry) -> Delivered:
    """The `delivered` hook of a directive that posts."""

    async def delivered(session: TenantSession, directive: Directive, receipts: Receipts) -> None:
        posted = [receipt for receipt in receipts if "external_id" in receipt]  # a person's word has no id
        if posted:
            await _project(session, directive, receipts)
        await emit(session, registry, _signal(directive, posted))

    return delivered


async def _project(session: TenantSession, directive: Directive, receipts: Receipts) -> None:
    """Our posts as messages; the echo may have come first, then only the directive is added."""
    installation = await get(session, Installation, directive.installation_id)
    assert installation is not None
    requests = [row[0] for row in await session.fetch(_REQUESTS, {"directive_id": directive.id})]
    sent = [pair for pair in zip(requests, receipts, strict=True) if "external_id" in pair[1]]
    known = await known_messages(session, installation.id, [receipt["external_id"] for _, receipt in sent])
    messages = []
    for request, receipt in sent:
        message = known.get(receipt["external_id"]) or await _new_message(
            session, installation, directive, request, receipt
        )
        message.directive_id = directive.id
        messages.append(message)
    await save_messages(session, installation.id, messages)


async def _new_message(
    session: TenantSession,
    installation: Installation,
    directive: Directive,
    request: dict[str, Any],
    receipt: dict[str, Any],
) -> Projected:
    return Projected(
        id=new_id(),
        conversation_id=await _conversation(session, installation.id, directive, request, receipt),
        external_id=receipt["external_id"],
        author_kind="self",
        author_id=str(installation.account.get("id", "")),
        author_name=str(installation.account.get("name", "")),
        text=request["text"],
        sent_at_ms=int(receipt["sent_at_ms"]),
    )


async def _conversation(
    session: TenantSession,
    installation_id: UUID,
    directive: Directive,
    request: dict[str, Any],
    receipt: dict[str, Any],
) -> UUID:
    if directive.conversation_id is not None:
        return directive.conversation_id
    place = Place(request["channel_id"], request["channel_kind"], request["thread_id"])
    key = conversation_key(place, receipt["external_id"])
    return (await find_conversations(session, installation_id, {key: place}))[key]


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
