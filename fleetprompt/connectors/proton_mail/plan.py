"""Freeze a mail before its first try: its bytes, its Message-ID, and the name by which its answers find back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from adapters.errors import AdapterError
from adapters.proton_mail import FrozenMail, Letter, freeze
from fleetprompt.connectors.proton_mail import names
from fleetprompt.connectors.proton_mail.allowance import suppressed
from fleetprompt.connectors.proton_mail.recipients import allowed
from fleetprompt.connectors.proton_mail.settings import ProtonMailConfig, adapter_settings, own_addresses
from fleetprompt.connectors.proton_mail.threads import save_names, save_participants
from fleetprompt.kernel import clock
from fleetprompt.model import Directive, Installation, MailName, Signal
from fleetprompt.tenancy import TenantSession


async def plan_mail(session: TenantSession, directive: Directive) -> dict[str, Any]:
    """The request of the only effect. What can never be sent is frozen as its refusal."""
    installation = await session.get(Installation, directive.installation_id)
    mail = await session.get(Signal, directive.arguments["answers"])
    if installation is None or mail is None:
        return _refusal("gone", "The mail that this answers, or the mailbox, is there no longer.")
    arguments = directive.arguments
    own = await own_addresses(session, installation)
    strangers = {*arguments["to"], *arguments["cc"]} - allowed(mail.payload, own) - own
    if strangers or own.issuperset(arguments["to"]) or mail.installation_id != installation.id:
        return _refusal("not_of_the_thread", "A recipient takes no part in the thread that this answers.")
    subject = await _subject(session, directive, installation, arguments["subject"])
    settings = adapter_settings(ProtonMailConfig.model_validate(installation.config), "x")
    gone = set(await suppressed(session, [*arguments["to"], *arguments["cc"]]))
    letter = _letter(arguments, subject, mail.payload, own, gone)
    try:
        frozen = freeze(f"{directive.id}.0", letter, settings, clock.now_ms())
    except AdapterError as error:
        return _refusal(error.code, error.detail)
    await _remember(session, directive, frozen)
    return {
        "message_id": frozen.message_id,
        "sender": frozen.sender,
        "to": list(letter.to),
        "left_out": [
            one for one in (*arguments["to"], *arguments["cc"]) if one not in (*letter.to, *letter.cc)
        ],
        "recipients": list(frozen.recipients),
        "text": arguments["text"],
        "raw": frozen.raw.decode("ascii"),
    }


def _letter(
    arguments: Mapping[str, Any],
    subject: str,
    mail: Mapping[str, Any],
    own: Collection[str],
    gone: Collection[str],
) -> Letter:
    """References are those of the mail that is answered; ids that no header can hold are left out.

    own: left out too, since a mailbox may have become ours while this waited for a person.
    gone: addresses that nothing is sent to. Where no other is left to write to, sending is what refuses it: a person may
    restore one and try again.
    """
    to = [one for one in arguments["to"] if one not in own]
    answered = mail.get("rfc_message_id", "")
    earlier = [*mail.get("references", ())] or [*mail.get("in_reply_to", ())][:1]
    return Letter(
        to=[one for one in to if one not in gone] or to,
        cc=[one for one in arguments["cc"] if one not in gone and one not in own],
        subject=subject,
        text=arguments["text"],
        in_reply_to=answered if _fits(answered) else "",
        references=[one for one in earlier if _fits(one)],
        parent_internal_id=mail.get("internal_id", ""),
    )


def _fits(message_id: str) -> bool:
    inner = message_id[1:-1]
    is_bracketed = message_id[:1] == "<" and message_id[-1:] == ">"
    printable = inner.isascii() and inner.isprintable() and not set(inner) & set("<> ")
    return is_bracketed and printable and 3 <= len(inner) <= 900


async def _subject(
    session: TenantSession, directive: Directive, installation: Installation, subject: str
) -> str:
    """With the conversation's token, where the mailbox is to use tokens."""
    if not installation.config.get("subject_token") or directive.conversation_id is None:
        return subject
    query = select(MailName.name).where(
        MailName.installation_id == installation.id,
        MailName.conversation_id == directive.conversation_id,
        MailName.name.startswith("token:"),
    )
    known = await session.scalar(query.limit(1))
    token = known.partition(":")[2] if known else names.new_token()
    if known is None:
        name = {names.of_token(token): (directive.conversation_id, None)}
        await save_names(session, installation.id, name)
    return names.with_token(subject, token)


async def _remember(session: TenantSession, directive: Directive, frozen: FrozenMail) -> None:
    """An answer to this mail may come before its sending is recorded."""
    assert directive.installation_id is not None
    if directive.conversation_id is None:
        return
    name = {names.of_message(frozen.message_id): (directive.conversation_id, directive.id)}
    await save_names(session, directive.installation_id, name)
    people = [(directive.conversation_id, one.lower()) for one in frozen.recipients]
    await save_participants(session, people)


def _refusal(code: str, reason: str) -> dict[str, Any]:
    return {"refused": {"code": code, "reason": reason}}
