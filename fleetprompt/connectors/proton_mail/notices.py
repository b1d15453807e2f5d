"""What people of ours should look at is told in a chat channel of their choice, where a chat is installed too.

Drafts that wait, runs that failed, mails that nobody answers, mails that came back or could not be read: none of it is for
the customer. What is decided is decided on the command line, never by mail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select

from fleetprompt.connectors.proton_mail import caps
from fleetprompt.connectors.proton_mail.bounces import BOUNCED
from fleetprompt.connectors.proton_mail.names import fit
from fleetprompt.connectors.proton_mail.payload import QUARANTINED
from fleetprompt.connectors.proton_mail.preview import answered
from fleetprompt.connectors.proton_mail.retention import NOTICE
from fleetprompt.connectors.proton_mail.wake import LOOPS, NOT_ANSWERED, STOPPED
from fleetprompt.connectors.revoking import REDACTED
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Conversation, Directive, Installation, Signal
from fleetprompt.model.states import IN_FORCE, DirectiveState
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.registry import Handler, Registry
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

NAME: Final = "mail.notice"
PACKAGE: Final = "proton-mail"
SEND: Final = "email.send"
ASKED: Final = "directive.approval_requested"
FAILED: Final = "agent.execution.failed"
UNSENT: Final = "directive.failed"
TOLD: Final = (ASKED, FAILED, UNSENT, STOPPED, NOT_ANSWERED, BOUNCED, REDACTED, QUARANTINED)
PERIODS_S: Final = {caps.HOUR: 3600, caps.DAY: 86_400}
SHOWN_CHARS: Final = 600
DECIDE: Final = "`fleetprompt directives show {id} --org {org}`, then `edit`, `approve` or `reject`."


def register_notices(registry: Registry) -> None:
    """Called once all their signals are catalogued."""

    async def tell(session: TenantSession, signal: Signal) -> None:
        await notify(session, registry, signal)

    for name in TOLD:
        registry.on(name, Handler(NAME, tell))


async def notify(session: TenantSession, registry: Registry, signal: Signal) -> None:
    """Post it, if the mailbox that it is about has a channel for it; once."""
    installation = await session.get(Installation, signal.installation_id) if signal.installation_id else None
    if installation is None or installation.package != PACKAGE:
        return
    wanted = str(installation.config.get("notice_channel") or "").lstrip("#~")
    words = await _WORDS[signal.name](session, signal) if wanted else None
    place = await _place(session, registry, wanted) if words else None
    if place is None or words is None:
        return
    chat, conversation = place
    channel = registry.channels[chat.package]
    assert channel.arguments is not None, "it is a chat's"
    new = NewDirective(
        channel.directive,
        _key(signal),
        channel.arguments(conversation, words),
        "People are told what a mailbox needs of them.",
        SYSTEM,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
        installation_id=chat.id,
    )
    await request(session, registry, new)


def _key(signal: Signal) -> str:
    """One notice for each fact; of a sender beyond a cap one in its hour or day, of mails that cannot be read one an hour
    for the mailbox: a flood of mails is none in the chat.
    """
    if signal.name == QUARANTINED:
        hour = int(signal.created_at.timestamp()) // PERIODS_S[caps.HOUR]
        return f"{NOTICE}quarantined:{signal.installation_id}:{hour}"
    if signal.name == BOUNCED and signal.payload["directive_id"] is None:  # anybody can write one
        hour = int(signal.created_at.timestamp()) // PERIODS_S[caps.HOUR]
        return f"{NOTICE}unknown_mail:{signal.installation_id}:{hour}"
    period_s = PERIODS_S.get(str(signal.payload.get("reason")))
    if signal.name not in (STOPPED, NOT_ANSWERED) or period_s is None:
        return f"{NOTICE}{signal.id}"
    period = int(signal.created_at.timestamp()) // period_s
    why = f"{signal.payload['reason']}:{signal.installation_id}:{_sender(signal.payload)}"
    return f"{NOTICE}{fit(why)}:{period}"


async def _place(
    session: TenantSession, registry: Registry, wanted: str
) -> tuple[Installation, Conversation] | None:
    """The channel by name or id, of a chat that can be posted to. Where nothing was said yet the chat itself knows the name."""
    chats = [name for name, channel in registry.channels.items() if channel.arguments is not None]
    installed = Installation.state.in_(IN_FORCE)
    query = select(Installation).where(Installation.package.in_(chats), installed).order_by(Installation.id)
    there = {one.id: one for one in await session.scalars(query)}
    if not there:
        return None
    named = or_(Conversation.channel_name == wanted, Conversation.channel_id == wanted)
    known = select(Conversation).where(Conversation.installation_id.in_(there), named)
    found = await session.scalar(known.order_by(Conversation.id.desc()).limit(1))
    if found is None:
        chat = next(iter(there.values()))
        return chat, _channel(chat.id, wanted, "public")
    return there[found.installation_id], _channel(found.installation_id, found.channel_id, found.channel_kind)


def _channel(installation_id: UUID, channel_id: str, kind: str) -> Conversation:
    """Its top level; no row."""
    return Conversation(
        id=new_id(),
        installation_id=installation_id,
        channel_id=channel_id,
        thread_id="",
        channel_kind=kind,
        channel_name="",
    )


async def _asked(session: TenantSession, signal: Signal) -> str | None:
    """A draft with what it says, or a tool that waits."""
    directive = await session.get(Directive, UUID(signal.payload["directive_id"]))
    if directive is None or directive.state != DirectiveState.AWAITING_APPROVAL:
        return None
    decide = DECIDE.format(id=directive.id, org=session.tenant)
    if directive.name != SEND:
        reason = directive.approval_reason or "It waits for a person."
        return f"{directive.summary} {reason} {decide}"
    mail = await session.get(Signal, UUID(directive.arguments["answers"]))
    head = list(answered(mail.payload)) if mail is not None else []
    to = ", ".join((*directive.arguments["to"], *directive.arguments["cc"]))
    lines = [
        f"A draft waits for a person: {directive.arguments['subject']}",
        f"To: {to}",
        *head,
        "",
        *(f"> {line}" for line in _cut(directive.arguments["text"]).splitlines()),
        "",
        decide,
    ]
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " ..."


async def _failed(session: TenantSession, signal: Signal) -> str | None:
    return (
        f"A mail could not be answered: {signal.payload.get('error')}. "
        f"`fleetprompt executions show {signal.payload['execution_id']} --org {session.tenant}`"
    )


async def _unsent(session: TenantSession, signal: Signal) -> str | None:
    """A mail that did not leave. One that came back is told as that, and other directives are not for this channel."""
    payload = signal.payload
    if payload["directive"] != SEND or payload["error_code"] == "bounced":
        return None
    return (
        f"A mail was not sent: {payload['error']} "
        f"`fleetprompt directives show {payload['directive_id']} --org {session.tenant}`"
    )


async def _left(session: TenantSession, signal: Signal) -> str | None:
    if signal.payload["reason"] in LOOPS:
        return (
            f"{_sender(signal.payload)} got answer upon answer and no person took part; it may be a machine, so no more are"
            f" sent for now ({signal.payload['reason']}). "
            f"`fleetprompt signals show {signal.payload['signal_id']} --org {session.tenant}`"
        )
    return (
        f"A mail from {_sender(signal.payload)} is left to people ({signal.payload['reason']}). "
        f"`fleetprompt signals show {signal.payload['signal_id']} --org {session.tenant}`"
    )


async def _came_back(session: TenantSession, signal: Signal) -> str | None:
    payload = signal.payload
    if payload["directive_id"] is None:
        return (
            f"A mail says that one of ours came back, and names none that we know ({payload['doubt']}); nothing was changed. "
            f"`fleetprompt signals show {payload['signal_id']} --org {session.tenant}` (told once an hour)"
        )
    look = f"`fleetprompt directives show {payload['directive_id']} --org {session.tenant}`"
    if payload.get("doubt"):
        return (
            f"A mail says that one of ours came back, and is not believed ({payload['doubt']}); nothing was changed. "
            f"{look}, `fleetprompt signals show {payload['signal_id']} --org {session.tenant}`"
        )
    what = "came back" if payload["is_permanent"] else "is late; its server goes on trying"
    return (
        f"A mail to {', '.join(payload['addresses'])} {what}. "
        f"{look}, `fleetprompt mail suppressed list --org {session.tenant}`"
    )


async def _redacted(session: TenantSession, signal: Signal) -> str | None:
    kinds = ", ".join(kind.replace("_", " ") for kind in signal.payload["kinds"])
    return (
        f"A mail from {_sender(signal.payload)} held a secret ({kinds}); it was taken out before the mail was stored. "
        f"Have them revoke it. `fleetprompt signals show {signal.causation_id} --org {session.tenant}`"
    )


async def _set_aside(session: TenantSession, signal: Signal) -> str | None:
    """Nothing of the mail itself, not even who it says that it is from."""
    payload = signal.payload
    came = datetime.fromtimestamp(payload["sent_at_ms"] / 1000, UTC)
    return (
        f"A mail in {payload['folder']} of {came:%Y-%m-%d %H:%M} UTC could not be read and waits for a person:"
        f" {payload['quarantine']['detail']} `fleetprompt signals show {signal.id} --org {session.tenant}`"
        " (told once an hour; all of them:"
        f" `fleetprompt signals list --org {session.tenant} --name {QUARANTINED}`)"
    )


def _sender(payload: Mapping[str, Any]) -> str:
    return str((payload.get("author") or {}).get("id") or "somebody")


_WORDS: Final[dict[str, Callable[[TenantSession, Signal], Awaitable[str | None]]]] = {
    ASKED: _asked,
    FAILED: _failed,
    UNSENT: _unsent,
    STOPPED: _left,
    NOT_ANSWERED: _left,
    BOUNCED: _came_back,
    REDACTED: _redacted,
    QUARANTINED: _set_aside,
}
