"""Mail's entries in the registry: its facts, its directive, its channel, and who reacts to what."""

from __future__ import annotations

from typing import Final

from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.connectors.proton_mail import bounces, retention, wake
from fleetprompt.connectors.proton_mail.binding import PACKAGE, SEND
from fleetprompt.connectors.proton_mail.compose import SendArguments, composing
from fleetprompt.connectors.proton_mail.deliver import MAX_FAILURES, MailEffector
from fleetprompt.connectors.proton_mail.notices import register_notices
from fleetprompt.connectors.proton_mail.payload import RECEIVED
from fleetprompt.connectors.proton_mail.preview import preview
from fleetprompt.connectors.proton_mail.sent import tell_sent
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.registry import Channel, Handler, Registry
from fleetprompt.tenancy import Tenancy

SIGNALS: Final = {
    "email.inbound.received": "A mail came in.",
    "email.inbound.quarantined": "A mail could not be read and was set aside; its raw bytes are kept, if the server gave them.",
    "email.sent": "We sent a mail.",
    "email.bounced": "A mail of ours came back.",
    "email.not_answered": "A mail is left to people: a cap is reached, or nobody should answer it.",
}


def register_mail(registry: Registry, tenancy: Tenancy, pool: AdapterPool) -> None:
    """Called once by the connectors' own registration."""
    for name, about in SIGNALS.items():  # how long they are kept is the mailbox's own setting
        registry.add_signal(name, about, retention="lifecycle")
    registry.add_signal(
        "email.address.restored", "A person lets mail go to an address again.", retention="audit"
    )
    registry.add_job(retention.retention_kind(PACKAGE))
    registry.add_recurring(retention.DAILY)
    registry.add_directive(
        DirectiveType(
            SEND,
            "Answer a mail in its thread.",
            SendArguments,
            MailEffector(registry, tenancy, pool),
            max_failures=MAX_FAILURES,
            delivered=tell_sent(registry),
            editable=frozenset({"text"}),
            preview=preview,
        )
    )
    registry.add_channel(Channel(PACKAGE, SEND, compose=composing(registry)))
    registry.on(RECEIVED, Handler(wake.NAME, wake.answering(registry), wake.may_wake))
    registry.on(RECEIVED, Handler(bounces.NAME, bounces.taking_back(registry), bounces.is_bounce))
    register_notices(registry)
