"""What was taken out of a message is told as a fact, without the secret, and who pasted it is told to revoke it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from adapters.contract import AuthorKind
from fleetprompt.connectors.pasted import AWAITED, Taken
from fleetprompt.kernel.json import clean_object
from fleetprompt.model import Conversation, Signal
from fleetprompt.packages import secret_links
from fleetprompt.runtime.executions.end import say
from fleetprompt.runtime.registry import Handler, Registry, Speech
from fleetprompt.runtime.signals import Emitted, NewSignal, emit_many
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

REDACTED = "secret.redacted"
SHAPED: Final = (
    "What you wrote looks like a secret ({kinds}). I removed it before anything was stored, but it still stands in this "
    "chat: delete the message, and revoke the secret where it comes from."
)
WAITED: Final = (
    "A secret is awaited from you, so I removed what you wrote before anything was stored. Open the link that you got, "
    "and give the secret there. If this was it: delete the message, and revoke the secret where it comes from."
)


def register(registry: Registry) -> None:
    """Called once, by the connectors' own registration: links end in a chat, too."""
    secret_links.register(registry)
    registry.add_signal(REDACTED, "Somebody pasted a secret; it was taken out.", retention="lifecycle")

    async def tell_person(session: TenantSession, signal: Signal) -> None:
        await advise(session, registry, signal)

    handler = Handler("secret.revoke_notice", tell_person, lambda payload: bool(payload["advise"]))
    registry.on(REDACTED, handler)


async def tell(
    session: TenantSession,
    registry: Registry,
    installation_id: UUID,
    taken: Sequence[Taken],
    emitted: Sequence[Emitted | None],
    *,
    advise: bool = True,
) -> None:
    """One fact for each message. emitted: the batch's own signals. advise: whoever wrote it is to be told there."""
    news = [_fact(installation_id, one, emitted[one.number], advise=advise) for one in taken]
    await emit_many(session, registry, news)


def _fact(installation_id: UUID, one: Taken, signal: Emitted | None, *, advise: bool) -> NewSignal:
    author = one.event.author
    payload = {
        "installation_id": str(installation_id),
        "conversation_id": None if one.conversation_id is None else str(one.conversation_id),
        "external_id": one.event.external_id,
        "event": one.event.kind.value,
        "kinds": list(one.kinds),
        "author": {"id": author.id, "kind": author.kind.value, "name": author.name},
        "advise": advise and author.kind is AuthorKind.PERSON and one.conversation_id is not None,
    }
    return NewSignal(
        REDACTED,
        clean_object(payload),
        SYSTEM,
        dedupe_key=f"{REDACTED}:{installation_id}:{one.event.event_key}",
        causation_id=None if signal is None else signal.id,
        installation_id=installation_id,
        conversation_id=one.conversation_id,
    )


async def advise(session: TenantSession, registry: Registry, signal: Signal) -> None:
    """One sentence in the thread, once for each message."""
    conversation = await session.get(Conversation, signal.conversation_id)
    if conversation is None:
        return
    kinds = [kind.replace("_", " ") for kind in signal.payload["kinds"]]
    words = WAITED if AWAITED in kinds else SHAPED.format(kinds=", ".join(kinds))
    await say(
        session,
        registry,
        conversation,
        words,
        key=f"{REDACTED}:{signal.id}",
        actor=SYSTEM,
        summary="A person is told that a secret does not belong into a chat.",
        speech=Speech.NOTICE,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
    )
