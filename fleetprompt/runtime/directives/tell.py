"""The signals of a directive's life."""

from __future__ import annotations

from typing import Any

from fleetprompt.model import Directive
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

NAMES = {
    "directive.approval_requested": "A directive waits for a person.",
    "directive.edited": "A person changed a directive that waits for approval.",
    "directive.approved": "A person let a directive go ahead.",
    "directive.rejected": "A person refused a directive.",
    "directive.expired": "Nobody decided about a directive in time.",
    "directive.canceled": "A person withdrew a directive.",
    "directive.succeeded": "A directive's effects are all done.",
    "directive.failed": "A directive will not be carried out.",
    "directive.outcome_unknown": "Nobody can tell whether an effect happened; a person has to settle it.",
    "directive.resolved": "A person settled an unknown outcome.",
    "directive.retried": "A person gave a failed directive another round.",
}


async def tell(
    session: TenantSession,
    registry: Registry,
    directive: Directive,
    name: str,
    by: Actor | None = None,
    **more: Any,
) -> None:
    """Emit one of them, beside the guarded move that it reports: the move happens once, so needs no dedupe key."""
    await emit(session, registry, signal_of(directive, name, by, **more))


def signal_of(directive: Directive, name: str, by: Actor | None = None, **more: Any) -> NewSignal:
    """One of them, to be emitted."""
    payload = {
        "directive_id": str(directive.id),
        "directive": directive.name,
        "summary": directive.summary,
        **more,
    }
    return NewSignal(
        name,
        payload,
        by or Actor(directive.actor_kind, directive.actor_id, directive.actor_name),
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        installation_id=directive.installation_id,
        conversation_id=directive.conversation_id,
    )
