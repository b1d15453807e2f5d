"""What a person sets for one account behind one Bridge, and the pace and limits of its connections."""

from __future__ import annotations

import hashlib
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from adapters.errors import Misconfigured

MAX_FOLDERS = 50
MAX_FOLDER_CHARS = 200
ALL_MAIL = "all mail"
_ADDRESS = re.compile(r"[!#-'*+/-9=?A-Z^-~.-]{1,64}@[A-Za-z0-9.-]{1,190}")


class Tls(StrEnum):
    """How a connection becomes private; there is no third way."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class Pace:
    """Time-outs; the defaults are for a real Bridge, which polls Proton every 20 to 40 s itself.

    answer_timeout_s: without a single byte; command_most_s: of one command altogether. idle_s: IDLE is left for a NOOP so
    often, or a dead tunnel is noticed after half an hour. look_up_s: how long Sent is searched before a mail counts as
    absent. give_up_s: how long the server breaks down at one mail, again and again, before it is set aside for good, so
    that an outage costs none; give_up_refused_s: when it refuses that one while it gives others. rescan_ms: how far before the newest mail known a rebuilt mailbox is read again.
    """

    connect_timeout_s: float = 5.0
    answer_timeout_s: float = 20.0
    command_most_s: float = 600.0
    idle_s: float = 25.0
    idle_end_s: float = 10.0
    poll_s: float = 20.0
    backoff_first_s: float = 0.5
    backoff_most_s: float = 20.0
    send_timeout_s: float = 120.0
    look_up_s: float = 65.0
    look_up_every_s: float = 5.0
    give_up_s: float = 600.0
    give_up_refused_s: float = 60.0
    rescan_ms: int = 7 * 24 * 3600 * 1000
    batch_mails: int = 100
    batch_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MailLimits:
    """What a mail may cost. Beyond it the mail is quarantined, or what is too much is left out and noted."""

    mail_bytes: int = 40 * 1024 * 1024
    header_bytes: int = 256 * 1024
    parts: int = 500
    depth: int = 30
    text_chars: int = 500_000
    html_bytes: int = 2 * 1024 * 1024
    attachments: int = 200
    parse_s: float = 10.0
    parser_memory_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProtonMailSettings:
    """One account behind one Bridge.

    certificate_pem: exported from Bridge; the only one trusted. host: where Bridge is reached, also through a tunnel; its
    certificate always says 127.0.0.1. addresses: our own, beside the user name; from_address: one of them, the user name
    by default. start_at_ms: the install's moment (unix ms): older mail is history; 0 = what stands there when `listen`
    first comes is. folders: which are read; add "Sent" to hear what people write from the account by hand.
    """

    username: str
    password: str = field(repr=False)
    certificate_pem: str = field(repr=False)
    host: str = "127.0.0.1"
    imap_port: int = 1143
    smtp_port: int = 1025
    tls: Tls = Tls.STARTTLS
    certificate_host: str = "127.0.0.1"
    addresses: tuple[str, ...] = ()
    from_address: str = ""
    from_name: str = ""
    folders: tuple[str, ...] = ("INBOX",)
    sent_folder: str = "Sent"
    idle: bool = True
    start_at_ms: int = 0
    pace: Pace = field(default_factory=Pace)
    limits: MailLimits = field(default_factory=MailLimits)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """All of the account's, in lower case, the user name first."""
        names = (self.username, *self.addresses, self.from_address)
        return tuple(dict.fromkeys(name.strip().lower() for name in names if name.strip()))

    @property
    def sender(self) -> str:
        """What stands in From."""
        return (self.from_address or self.username).strip()

    @property
    def account_key(self) -> str:
        """The same through whatever Bridge: two of them on one account would both answer."""
        spelled = f"proton_mail|{self.username.strip().lower()}"
        return hashlib.sha256(spelled.encode()).hexdigest()[:32]

    def verified(self) -> ssl.SSLContext:
        """Look at the settings themselves. Returns the pinned context. Raises Misconfigured."""
        for address in self.own_addresses:
            if not _ADDRESS.fullmatch(address):
                raise Misconfigured(
                    "an own address is no mail address", advice="Give addresses such as support@example.org."
                )
        if not self.password.isascii() or not self.password.isprintable() or not self.password:
            raise Misconfigured(
                "the password is not one that Bridge makes",
                advice="Copy the password that Bridge shows in the mailbox details, not the one of the account.",
            )
        _check_folders(self.folders, self.sent_folder)
        return pinned_context(self.certificate_pem)


def _check_folders(folders: tuple[str, ...], sent_folder: str) -> None:
    names = [*folders, sent_folder]
    different = {"INBOX" if name.upper() == "INBOX" else name for name in folders}
    if not folders or len(folders) > MAX_FOLDERS or len(different) < len(folders):
        raise Misconfigured(
            "folders are none, too many or repeated", advice=f"Name between one and {MAX_FOLDERS} folders."
        )
    if any(not name.isprintable() or not 0 < len(name) <= MAX_FOLDER_CHARS for name in names):
        raise Misconfigured(
            "a folder's name is empty or not printable", advice="Write it as the mail client shows it."
        )
    if any(name.strip().lower() == ALL_MAIL for name in folders):
        raise Misconfigured(
            "All Mail is never read: what is sent and deleted stands in it too",
            advice="Name INBOX or a folder.",
        )


def pinned_context(certificate_pem: str) -> ssl.SSLContext:
    """Trusts this certificate alone. Raises Misconfigured."""
    # Never `create_default_context`: without a certificate that one trusts the system's authorities.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLError, ValueError, TypeError):
        context.load_verify_locations(cadata=certificate_pem)
    if not context.cert_store_stats()["x509"]:
        raise Misconfigured(
            "the certificate is not a PEM file",
            advice="Export it: Bridge > Settings > Export TLS certificates.",
        )
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # Bridge's may say that it is no authority
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
