"""Proton Mail through its Bridge: IMAP by aioimaplib with its protocol mended, SMTP by aiosmtplib led step by step.

Loaded when they are asked for: the parser's processes live in this package too, and need neither the wire nor asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from adapters.proton_mail.adapter import ProtonMailAdapter
    from adapters.proton_mail.faults import RefusedAfterData
    from adapters.proton_mail.mail import (
        Address,
        Attachment,
        Bounce,
        Mail,
        Quarantine,
        SenderTrust,
        fields_of,
    )
    from adapters.proton_mail.normalise import MailReceived
    from adapters.proton_mail.render import FrozenMail, Letter, freeze, message_id_of
    from adapters.proton_mail.settings import MailLimits, Pace, ProtonMailSettings, Tls

_PLACES: Final = {
    "ProtonMailAdapter": "adapter",
    "Address": "mail",
    "Attachment": "mail",
    "Bounce": "mail",
    "Mail": "mail",
    "Quarantine": "mail",
    "SenderTrust": "mail",
    "fields_of": "mail",
    "MailReceived": "normalise",
    "RefusedAfterData": "faults",
    "FrozenMail": "render",
    "Letter": "render",
    "freeze": "render",
    "message_id_of": "render",
    "MailLimits": "settings",
    "Pace": "settings",
    "ProtonMailSettings": "settings",
    "Tls": "settings",
}

__all__ = [
    "Address",
    "Attachment",
    "Bounce",
    "FrozenMail",
    "Letter",
    "Mail",
    "MailLimits",
    "MailReceived",
    "Pace",
    "ProtonMailAdapter",
    "ProtonMailSettings",
    "Quarantine",
    "RefusedAfterData",
    "SenderTrust",
    "Tls",
    "fields_of",
    "freeze",
    "message_id_of",
]


def __getattr__(name: str) -> Any:
    """PEP 562."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
