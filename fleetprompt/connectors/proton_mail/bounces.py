"""A mail of ours came back: its directive has failed after all, and nothing more is sent to that address.

Anybody can write a mail that looks like a bounce. So it counts only if it names a Message-ID of ours, which nobody knows
but those whom we wrote to, and an address that this very mail went to; if a mail server wrote it, and nobody who takes
part in the thread; and if Proton does not say that its sender is forged. Otherwise people are told, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.dialects.postgresql import insert

from fleetprompt.connectors.proton_mail import names
from fleetprompt.database.driver import Sql
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, Signal, SuppressedAddress
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives import decide, end
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

BOUNCED: Final = "email.bounced"
NAME: Final = "mail.bounces"
UNDER_WAY: Final = (DirectiveState.REQUESTED, DirectiveState.RUNNING)
SOONEST_S: Final = 1.0
LATEST_S: Final = 60.0
UNKNOWN_MAIL: Final = "unknown_mail"  # it names no Message-ID of ours
_TAKING_PART = Sql(
    "select 1 from mail_participants where conversation_id = :conversation_id and address = any(:addresses)"
)
_SENT = Sql(
    "select directive_id from mail_names where installation_id = :installation_id and name = any(:names)"
    " and directive_id is not null limit 1"
)
faults.declare(["bounce.told", "bounce.taken_back"])


def is_bounce(payload: Mapping[str, Any]) -> bool:
    """Judged before a job is spent on it."""
    return bool(payload.get("bounce"))


def taking_back(registry: Registry) -> Callable[[TenantSession, Signal], Awaitable[None]]:
    """The handler."""

    async def handle(session: TenantSession, signal: Signal) -> None:
        directive = await _directive(session, signal)
        if directive is None:
            await emit(session, registry, _told(signal, None, (), UNKNOWN_MAIL))
        elif directive.state in UNDER_WAY:
            await _later(session, signal)
        else:
            await _take_back(session, registry, signal, directive)

    return handle


async def _later(session: TenantSession, signal: Signal) -> None:
    """Its mail may still be on record as unsent: what became of it is known soon, and the bounce is kept until then."""
    age_s = (clock.now() - signal.created_at).total_seconds()
    again = NewJob(
        "signal.handle",
        {"signal_id": str(signal.id), "handler": NAME},
        delay_s=min(LATEST_S, max(SOONEST_S, age_s / 2)),
        correlation_id=signal.correlation_id,
    )
    await enqueue(session, again)


async def _directive(session: TenantSession, signal: Signal) -> Directive | None:
    """The one whose mail came back, held; None if the bounce is of no mail of ours."""
    told = [names.of_message(one) for one in signal.payload["bounce"]["message_ids"]]
    rows = await session.fetch(_SENT, {"installation_id": signal.installation_id, "names": told})
    return await end.lock(session, DirectiveId(rows[0][0])) if rows else None


async def _take_back(
    session: TenantSession, registry: Registry, signal: Signal, directive: Directive
) -> None:
    bounce = signal.payload["bounce"]
    addresses = _named(bounce, directive)
    doubt = await _doubt(session, signal, directive, addresses)
    emitted = await emit(session, registry, _told(signal, directive, addresses, doubt))
    faults.reach("bounce.told")
    if doubt or not emitted.fresh or not bounce["is_permanent"]:
        return
    await _suppress(session, signal, directive, addresses)
    if directive.state == DirectiveState.OUTCOME_UNKNOWN:  # what comes back had left
        directive = await decide.resolve(session, registry, DirectiveId(directive.id), SYSTEM, sent=True)
    if directive.state == DirectiveState.SUCCEEDED:
        reason = f"The mail came back from {', '.join(addresses)} ({bounce['status'] or bounce['form']})."
        await end.come_back(session, registry, directive, "bounced", reason)
    faults.reach("bounce.taken_back")


async def _doubt(
    session: TenantSession, signal: Signal, directive: Directive, addresses: Sequence[str]
) -> str | None:
    """Why it is not believed, in a word."""
    payload = signal.payload
    if not payload["bounce"].get("from_mailer"):
        return "not_from_a_mail_server"
    if (payload.get("trust") or {}).get("verdict") in ("fail", "conflicting"):
        return "sender_forged"
    if not addresses:
        return "other_recipient"
    senders = [one["address"] for one in payload.get("from", ())]
    taking_part = await session.fetch(
        _TAKING_PART, {"conversation_id": directive.conversation_id, "addresses": senders}
    )
    return "sender_takes_part" if taking_part else None


def _named(bounce: Mapping[str, Any], directive: Directive) -> list[str]:
    """Those of the mail's recipients that the bounce names."""
    named = {str(one).lower() for one in bounce["recipients"]}
    sent_to = [one.lower() for one in (*directive.arguments["to"], *directive.arguments["cc"])]
    return [one for one in dict.fromkeys(sent_to) if one in named]


async def _suppress(
    session: TenantSession, signal: Signal, directive: Directive, addresses: Sequence[str]
) -> None:
    reason = f"bounced {signal.payload['bounce']['status']}".strip()
    rows = [
        {"address": one, "reason": reason, "directive_id": directive.id, "signal_id": signal.id}
        for one in sorted(addresses)
    ]
    await session.execute(
        insert(SuppressedAddress).values(rows).on_conflict_do_nothing(index_elements=["address"])
    )


def _told(
    signal: Signal, directive: Directive | None, addresses: Sequence[str], doubt: str | None
) -> NewSignal:
    """Of the directive whose mail came back; without one of the bounce itself, once however often it is handled."""
    bounce = signal.payload["bounce"]
    payload = {
        "directive_id": None if directive is None else str(directive.id),
        "signal_id": str(signal.id),
        "addresses": list(addresses),
        "is_permanent": bounce["is_permanent"],
        "status": bounce["status"],
        "form": bounce["form"],
        "doubt": doubt,
    }
    cause = signal if directive is None else directive
    return NewSignal(
        BOUNCED,
        payload,
        SYSTEM,
        dedupe_key=f"{BOUNCED}:{signal.id}",
        correlation_id=cause.correlation_id,
        causation_id=cause.id,
        installation_id=signal.installation_id,
        conversation_id=cause.conversation_id,
    )
