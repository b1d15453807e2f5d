"""A mail as the payload of a signal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from adapters.contract import AuthorKind
from adapters.proton_mail import Address, Mail, MailReceived, Quarantine, fields_of
from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.proton_mail.names import without_token
from fleetprompt.connectors.proton_mail.threads import Found

RECEIVED = "email.inbound.received"
QUARANTINED = "email.inbound.quarantined"


def name_of(event: MailReceived) -> str:
    """The fact that it is."""
    return RECEIVED if event.quarantine is None else QUARANTINED


def fact_of(source: Source, event: MailReceived) -> dict[str, Any]:
    """The payload but for `placed`: readable by the same handlers as a chat message, with what a mail has beside it.

    text: all of it. request: what is newly written. quoted_from: where in the text the history below begins, None without.
    """
    author = event.author
    return {
        "installation_id": str(source.installation_id),
        "package": source.package,
        "external_id": event.external_id,
        "kind": event.kind.value,
        "author": {"id": author.id, "kind": author.kind.value, "name": author.name},
        "text": event.text,
        "request": "" if event.mail is None else request_of(event.mail),
        "addressed": event.addressed,
        "mentions_us": event.mentions_us,
        "allowed_automation": False,
        "third_party": True,
        "sent_at_ms": event.sent_at_ms,
        "caught_up": event.caught_up,
        "folder": event.folder,
        "raw_bytes": len(event.raw),
        "quarantine": _quarantine(event.quarantine),
        **(_of_mail(event.mail) if event.mail is not None else {}),
    }


def placed(conversation_id: UUID | None, message_id: UUID | None, found: Found | None) -> dict[str, Any]:
    """The rest of the payload: where the mail belongs, and by what that was found."""
    return {
        "conversation_id": _text(conversation_id),
        "message_id": _text(message_id),
        "threaded_by": found.by if found is not None else None,
    }


def words_of(event: MailReceived) -> str:
    """What is newly written; of a mail where that cannot be told, all of it."""
    return "" if event.mail is None else event.mail.reply or event.mail.text


def request_of(mail: Mail) -> str:
    """What the sender asks: what is newly written, or the subject of a mail without words."""
    words = mail.reply or mail.text
    return words if words.strip() else without_token(mail.subject)


def _of_mail(mail: Mail) -> dict[str, Any]:
    return {
        "subject": mail.subject,
        "from": _addresses(mail.senders),
        "reply_to": _addresses(mail.reply_to),
        "to": _addresses(mail.to),
        "cc": _addresses(mail.cc),
        "quoted_from": _quoted_from(mail),
        "trust": fields_of(mail.trust),
        "never_answer": list(mail.never_answer),
        "attachments": [fields_of(one) for one in mail.attachments],
        "bounce": None if mail.bounce is None else fields_of(mail.bounce),
        "internal_id": mail.internal_id,
        "rfc_message_id": mail.message_id,
        "in_reply_to": list(mail.in_reply_to),
        "references": list(mail.references),
        "date_ms": mail.sent_at_ms,
        "notes": list(mail.notes),
    }


def actor_kind(kind: AuthorKind) -> str:
    """Whoever wrote a mail is taken for a person, unless it says that it is none."""
    return "human" if kind is AuthorKind.PERSON else "integration"


def _quoted_from(mail: Mail) -> int | None:
    """No second copy of a text: what is stored of a mail is mostly texts."""
    return mail.text.rindex(mail.quoted) if mail.quoted and mail.quoted in mail.text else None


def _addresses(found: tuple[Address, ...]) -> list[dict[str, str]]:
    return [{"address": one.address, "name": one.name} for one in found]


def _quarantine(why: Quarantine | None) -> dict[str, str] | None:
    return None if why is None else {"reason": why.reason, "detail": why.detail}


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
