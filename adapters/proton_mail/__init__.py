"""Proton Mail through its Bridge: IMAP by aioimaplib with its protocol mended, SMTP by aiosmtplib led step by step."""

from adapters.proton_mail.adapter import ProtonMailAdapter
from adapters.proton_mail.mail import Address, Attachment, Bounce, Mail, Quarantine, SenderTrust
from adapters.proton_mail.normalise import MailReceived
from adapters.proton_mail.render import FrozenMail, Letter, freeze, message_id_of
from adapters.proton_mail.settings import MailLimits, Pace, ProtonMailSettings, Tls

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
    "SenderTrust",
    "Tls",
    "freeze",
    "message_id_of",
]
