"""What follows when a mail has left: it joins its conversation, and the fact is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fleetprompt.connectors.conversations import Projected, known_messages, save_messages
from fleetprompt.connectors.proton_mail.names import fit
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Directive, Installation
from fleetprompt.runtime.directives.end import effects_of
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

SENT = "email.sent"
Receipts = Sequence[dict[str, Any]]


def tell_sent(registry: Registry) -> Callable[[TenantSession, Directive, Receipts], Awaitable[None]]:
    """The `delivered` hook of `email.send`."""

    async def delivered(session: TenantSession, directive: Directive, receipts: Receipts) -> None:
        (effect,) = await effects_of(session, directive)
        message_id = str(effect.request["message_id"])
        await _project(session, directive, message_id, receipts[0])
        await emit(session, registry, _signal(directive, message_id, receipts[0]))

    return delivered


async def _project(
    session: TenantSession, directive: Directive, message_id: str, receipt: dict[str, Any]
) -> None:
    """Our mail as a message of its conversation."""
    installation = await session.get(Installation, directive.installation_id)
    if installation is None or directive.conversation_id is None:
        return
    external_id = fit(message_id)
    known = await known_messages(session, installation.id, [external_id])
    message = known.get(external_id) or Projected(
        id=new_id(),
        conversation_id=directive.conversation_id,
        external_id=external_id,
        author_kind="self",
        author_id=str(installation.account.get("id", "")),
        author_name=str(installation.account.get("name", "")),
        text=directive.arguments["text"],
        sent_at_ms=int(receipt.get("sent_at_ms", 0)) or int(directive.position),
    )
    message.directive_id = directive.id
    await save_messages(session, installation.id, [message])


def _signal(directive: Directive, message_id: str, receipt: dict[str, Any]) -> NewSignal:
    left_out = receipt.get("left_out", [])
    return NewSignal(
        SENT,
        {
            "directive_id": str(directive.id),
            "installation_id": str(directive.installation_id),
            "conversation_id": str(directive.conversation_id) if directive.conversation_id else None,
            "external_id": message_id,
            "answers": directive.arguments["answers"],
            "to": [one for one in directive.arguments["to"] if one not in left_out],
            "cc": [one for one in directive.arguments["cc"] if one not in left_out],
            "left_out": left_out,
            "subject": directive.arguments["subject"],
            "found": bool(receipt.get("found")),
        },
        Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
        dedupe_key=f"{SENT}:{directive.id}:{directive.attempt}",
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        installation_id=directive.installation_id,
        conversation_id=directive.conversation_id,
    )
