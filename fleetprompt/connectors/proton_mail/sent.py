"""What follows when a mail has left: it joins its conversation, and the fact is told.

And what it means for sending it again, once it came back: Bridge says 250 to the same bytes for half an hour and sends
nothing, and Sent goes on showing the copy of the first time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetprompt.connectors.conversations import Projected, known_messages, save_messages
from fleetprompt.connectors.proton_mail.names import fit
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Directive, Installation
from fleetprompt.runtime.directives.end import effects_of
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

SENT = "email.sent"
Receipts = Sequence[dict[str, Any]]
BRIDGE_REMEMBERS_S: Final = 1800.0  # Bridge's send recorder, from when it was handed over
SPARE_S: Final = 60.0  # our clock and Bridge's, and the way between
# Only what was sent once has a receipt, and it keeps it when it comes back. An earlier note is of an earlier round.
_NOTED = "(request ->> 'again_at_ms')::bigint"
_NOW_MS = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
_IS_NOTED = f"coalesce({_NOTED} > extract(epoch from finished_at) * 1000, false)"
_EARLIER = Sql(
    "select extract(epoch from clock_timestamp() - finished_at)::float8,"  # noqa: S608 - constants of this very file
    f" case when {_IS_NOTED} then {_NOTED} end from effects where key = :key and receipt is not null"
)
_NOTE_AGAIN = Sql(
    f"update effects set request = jsonb_set(request, '{{again_at_ms}}', to_jsonb({_NOW_MS}))"  # noqa: S608
    f" where key = :key and receipt is not null and not {_IS_NOTED} returning 1"
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The mail had left before, and came back. again_at_ms: when it was first handed over since; None = not yet."""

    age_s: float
    again_at_ms: int | None

    @property
    def wait_s(self) -> float:
        """Until Bridge has forgotten it; 0 once it is handed over again, which Bridge may go on taking for one mail."""
        return 0.0 if self.again_at_ms is not None else max(0.0, BRIDGE_REMEMBERS_S + SPARE_S - self.age_s)

    def is_copy(self, sent_at_ms: int) -> bool:
        """Whether the newest copy in Sent is of the earlier time: half an hour lies between the two, so clocks may differ a little."""
        return self.again_at_ms is not None and sent_at_ms < self.again_at_ms - BRIDGE_REMEMBERS_S * 500


async def sent_earlier(session: TenantSession, key: str) -> Earlier | None:
    """key: of an effect that is to be sent. None if it never was, as far as is known."""
    rows = await session.fetch(_EARLIER, {"key": key})
    return Earlier(*rows[0]) if rows else None


async def note_again(session: TenantSession, key: str) -> Earlier | None:
    """Before it is handed over again: kept at the first such try, since any of them may be the one that leaves."""
    await session.fetch(_NOTE_AGAIN, {"key": key})
    return await sent_earlier(session, key)


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
