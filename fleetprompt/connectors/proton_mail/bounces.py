"""A mail of ours came back: its directive has failed after all, and nothing more is sent to that address.

Anybody can write a mail that looks like a bounce. So it counts only if it names a Message-ID of ours, which nobody knows
but those whom we wrote to; and only addresses that this very mail went to are suppressed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.connectors.proton_mail import names
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, MailName, Signal, SuppressedAddress
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

BOUNCED: Final = "email.bounced"
NAME: Final = "mail.bounces"


def is_bounce(payload: Mapping[str, Any]) -> bool:
    """Judged before a job is spent on it."""
    return bool(payload.get("bounce"))


def taking_back(registry: Registry) -> Callable[[TenantSession, Signal], Awaitable[None]]:
    """The handler."""

    async def handle(session: TenantSession, signal: Signal) -> None:
        directive = await _directive(session, signal)
        if directive is not None:
            await _take_back(session, registry, signal, directive)

    return handle


async def _directive(session: TenantSession, signal: Signal) -> Directive | None:
    """The one whose mail came back, held; None if the bounce is of no mail of ours."""
    told = [names.of_message(one) for one in signal.payload["bounce"]["message_ids"]]
    query = select(MailName.directive_id).where(
        MailName.installation_id == signal.installation_id,
        MailName.name.in_(told),
        MailName.directive_id.is_not(None),
    )
    directive_id = await session.scalar(query.limit(1))
    return None if directive_id is None else await end.lock(session, DirectiveId(directive_id))


async def _take_back(
    session: TenantSession, registry: Registry, signal: Signal, directive: Directive
) -> None:
    bounce = signal.payload["bounce"]
    addresses = _addresses(bounce, directive)
    emitted = await emit(session, registry, _told(signal, directive, addresses))
    if not emitted.fresh or not bounce["is_permanent"]:
        return
    await _suppress(session, signal, directive, _surely(bounce, addresses))
    if directive.state == DirectiveState.SUCCEEDED:
        reason = f"The mail came back from {', '.join(addresses)} ({bounce['status'] or bounce['form']})."
        await end.come_back(session, registry, directive, "bounced", reason)


def _addresses(bounce: Mapping[str, Any], directive: Directive) -> list[str]:
    """Those of its recipients that the bounce names; all of them if it names none."""
    sent_to = [one.lower() for one in (*directive.arguments["to"], *directive.arguments["cc"])]
    named = {str(one).lower() for one in bounce["recipients"]}
    return [one for one in sent_to if one in named] or sent_to


def _surely(bounce: Mapping[str, Any], addresses: Sequence[str]) -> list[str]:
    """Of several, only those that it names: the others may be well."""
    named = {str(one).lower() for one in bounce["recipients"]}
    return [one for one in addresses if one in named or len(addresses) == 1]


async def _suppress(
    session: TenantSession, signal: Signal, directive: Directive, addresses: Sequence[str]
) -> None:
    reason = f"bounced {signal.payload['bounce']['status']}".strip()
    if not addresses:
        return
    rows = [
        {"address": one, "reason": reason, "directive_id": directive.id, "signal_id": signal.id}
        for one in sorted(addresses)
    ]
    await session.execute(
        insert(SuppressedAddress).values(rows).on_conflict_do_nothing(index_elements=["address"])
    )


def _told(signal: Signal, directive: Directive, addresses: Sequence[str]) -> NewSignal:
    bounce = signal.payload["bounce"]
    payload = {
        "directive_id": str(directive.id),
        "signal_id": str(signal.id),
        "addresses": list(addresses),
        "is_permanent": bounce["is_permanent"],
        "status": bounce["status"],
        "form": bounce["form"],
    }
    return NewSignal(
        BOUNCED,
        payload,
        SYSTEM,
        dedupe_key=f"{BOUNCED}:{signal.id}",
        correlation_id=directive.correlation_id,
        causation_id=directive.id,
        installation_id=signal.installation_id,
        conversation_id=directive.conversation_id,
    )
