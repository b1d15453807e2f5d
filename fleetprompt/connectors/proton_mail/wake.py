"""What wakes an agent: the handler of `email.inbound.received`, and why a mail is left unanswered.

Replies cannot be marked automatic through Bridge, so that loops are ours to end: nobody gets more than so many answers in
an hour and in a day, and no thread more than so many before a person of ours takes part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sqlalchemy import func, select

from fleetprompt.connectors.proton_mail import caps
from fleetprompt.connectors.proton_mail.allowance import suppressed
from fleetprompt.connectors.proton_mail.recipients import recipients_of
from fleetprompt.connectors.proton_mail.settings import own_addresses
from fleetprompt.model import Directive, Execution, Installation, Message, Signal
from fleetprompt.runtime.agents.answer import wake
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

NAME: Final = "mail.answer"
NOT_ANSWERED: Final = "email.not_answered"
STOPPED: Final = "agent.loop.stopped"
LOOPS: Final = ("thread_cap", caps.DAY)


def may_wake(payload: Mapping[str, Any]) -> bool:
    """Whether a machine may answer; judged before a job is spent on it."""
    return bool(payload["addressed"]) and payload["author"]["kind"] == "person"


def answering(registry: Registry) -> Callable[[TenantSession, Signal], Awaitable[None]]:
    """The handler."""

    async def answer(session: TenantSession, signal: Signal) -> None:
        if await _is_known(session, signal):
            return
        judged = await _judged(session, signal)
        if isinstance(judged, str):
            await emit(session, registry, unanswered(signal, judged))
        else:
            await wake(session, registry, signal)
            await caps.count(session, signal, judged)

    return answer


async def _is_known(session: TenantSession, signal: Signal) -> bool:
    """A replay finds the run; the caps were applied when it was started."""
    return await session.scalar(select(Execution.id).where(Execution.signal_id == signal.id)) is not None


async def _judged(session: TenantSession, signal: Signal) -> str | list[str]:
    """Why it is left unanswered, in a word; otherwise the addresses that the answer counts for."""
    installation = await session.get(Installation, signal.installation_id)
    if installation is None:
        return "not_installed"
    sender = str(signal.payload["author"]["id"])
    if not sender:
        return "no_sender"
    own = await own_addresses(session, installation)
    if sender in own:
        return "own_address"
    found = recipients_of(signal.payload, installation.config.get("cc", "sender"), own)
    if not found.to:
        return "own_address"  # it wants its answer sent to us
    if set(await suppressed(session, found.to)) == set(found.to):
        return "suppressed"
    got = await caps.caps_of(session, installation, (sender, *found.to, *found.cc))
    named = (one for one in found.to if one != sender)
    reached = next(filter(None, (got.reached_by_writing(sender), *map(got.reached, named))), None)
    if reached is not None:
        return reached
    if await _answers_in_thread(session, signal) >= int(installation.config.get("max_answers_per_thread", 6)):
        return "thread_cap"
    return [sender, *found.to, *(one for one in found.cc if got.reached(one) is None)]


async def _answers_in_thread(session: TenantSession, signal: Signal) -> int:
    """Runs since a person of ours last took part: approved a draft, or wrote by hand."""
    approved = select(func.max(Directive.finished_at)).where(
        Directive.conversation_id == signal.conversation_id, Directive.approved_by.is_not(None)
    )
    written = select(func.max(Message.sent_at_ms)).where(
        Message.conversation_id == signal.conversation_id,
        Message.author_kind == "self",
        Message.directive_id.is_(None),
    )
    runs = select(func.count()).where(Execution.conversation_id == signal.conversation_id)
    since = await session.scalar(approved)
    if since is not None:
        runs = runs.where(Execution.created_at > since)
    runs = runs.where(Execution.position >= int(await session.scalar(written) or 0))
    return int(await session.scalar(runs) or 0)


def unanswered(signal: Signal, why: str) -> NewSignal:
    """The fact that a mail is left to people, once for each. why: a word, or a sentence."""
    name = STOPPED if why in LOOPS else NOT_ANSWERED
    return NewSignal(
        name,
        {
            "signal_id": str(signal.id),
            "conversation_id": None if signal.conversation_id is None else str(signal.conversation_id),
            "author": signal.payload["author"],
            "reason": why,
        },
        SYSTEM,
        dedupe_key=f"{name}:{signal.id}",
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
        installation_id=signal.installation_id,
        conversation_id=signal.conversation_id,
    )
