"""What a person sets when installing `proton-mail`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import and_, or_, select

from adapters.errors import Misconfigured
from adapters.proton_mail import Pace, ProtonMailSettings, Tls
from fleetprompt.model import Installation
from fleetprompt.tenancy import TenantSession

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
PEM: Final = "-----BEGIN CERTIFICATE-----"


def _words(value: Any) -> Any:
    """`a, b` from a command line is ["a", "b"]."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_words)]


class ProtonMailConfig(BaseModel):
    """One account behind one Bridge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str = Field(description="The user name that Bridge shows: one of the account's addresses.")
    host: str = Field(default="127.0.0.1", description="Where Bridge is reached.")
    imap_port: int = Field(default=1143, ge=1, le=65535, description="Bridge's IMAP port.")
    smtp_port: int = Field(default=1025, ge=1, le=65535, description="Bridge's SMTP port.")
    tls: Literal["starttls", "implicit"] = Field(default="starttls", description="As Bridge is set.")
    certificate_file: str = Field(
        default="",
        description="The certificate exported from Bridge (PEM); read once, and no other is accepted.",
    )
    certificate: str = Field(default="", description="The same as text.")
    addresses: Words = Field(default_factory=list, description="Further addresses of the account.")
    from_address: str = Field(default="", description="The address that answers; empty = the user name.")
    from_name: str = Field(default="", max_length=100, description="The name beside it.")
    folders: Words = Field(default_factory=lambda: ["INBOX"], description="Folders that are read.")
    sent_folder: str = Field(default="Sent", description="Where Bridge files what was sent.")
    idle: bool = Field(default=True, description="Wait by IDLE where it is offered.")
    poll_s: float = Field(default=20.0, gt=0, le=3600, description="Seconds between looks without IDLE.")
    look_up_s: float = Field(
        default=65.0,
        gt=0,
        le=600,
        description="Seconds that Sent is searched for a mail whose sending was cut off.",
    )
    since: str = Field(
        default="",
        description="Mail from then on is answered, at the first install; empty = from the install on.",
    )
    agent: str = Field(default="", description="The agent that answers; empty = the only one there is.")
    policy: Literal["ask", "send"] = Field(
        default="ask", description="ask: an answer waits for a person. send: it goes out by itself."
    )
    cc: Literal["sender", "all"] = Field(
        default="sender",
        description="sender: the answer goes to who wrote. all: also to who else was written to.",
    )
    subject_token: bool = Field(
        default=False, description="Put a token into the subject, for mail programs that drop the thread."
    )
    answers_per_sender_per_hour: int = Field(
        default=6, ge=0, le=1000, description="Answers to one address in an hour."
    )
    max_answers_per_thread: int = Field(
        default=6, ge=0, le=1000, description="Answers in one thread before a person of ours takes part."
    )
    mails_per_hour: int = Field(
        default=40, ge=1, le=10_000, description="Our own limit; Proton's free plan has 50."
    )
    mails_per_day: int = Field(
        default=140, ge=1, le=100_000, description="The same a day; the free plan has 150."
    )
    retry_delay_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="After a refusal, the first wait; each further one is four times as long.",
    )
    keep_bodies_days: int = Field(
        default=30,
        ge=8,
        le=365,
        description="Days after which texts, attachments and raw mails are removed.",
    )
    notice_channel: str = Field(
        default="",
        description="A chat channel that is told of drafts: its name or id, where a chat is installed too.",
    )

    @model_validator(mode="before")
    @classmethod
    def _reads_the_certificate(cls, given: Any) -> Any:
        """The file is read here, once, and forgotten: elsewhere that name may be another file, or none.

        One sentence for all that is no certificate: whoever asks from a chat learns nothing of the host's files.
        """
        path = given.get("certificate_file") if isinstance(given, dict) else None
        if not path:
            return given
        try:
            if not Path(path).is_file():  # a pipe or a terminal would hold everybody up
                raise FileNotFoundError(path)
            with Path(path).open("rb") as file:
                text = file.read(MAX_CERTIFICATE_BYTES).decode("ascii")
            if PEM not in text or "PRIVATE KEY" in text:
                raise ValueError(path)
        except (OSError, ValueError):
            raise ValueError(
                "certificate_file is no certificate (PEM, and no private key beside it) that can be read here; export it in"
                " Bridge: Settings, TLS certificates, and let the service's user read it"
            ) from None
        return {**given, "certificate": text, "certificate_file": ""}

    @field_validator("since")
    @classmethod
    def _is_a_moment(cls, value: str) -> str:
        if value:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError("it is no moment; write 2026-11-21T15:04") from None
        return value

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        """What the adapter would refuse is refused here, with its advice."""
        try:
            adapter_settings(self, "x").verified()
        except Misconfigured as error:
            raise ValueError(f"{error.detail}. {error.advice}") from None
        return self

    @property
    def since_ms(self) -> int | None:
        """Unix ms; a moment without a zone is UTC."""
        if not self.since:
            return None
        moment = datetime.fromisoformat(self.since)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


async def own_addresses(session: TenantSession, installation: Installation) -> frozenset[str]:
    """Everything that the tenant's mailboxes send as, in lower case: a copy to another one of ours is a mail to us."""
    is_there = and_(Installation.package == installation.package, Installation.state != "uninstalled")
    configs = select(Installation.config).where(or_(is_there, Installation.id == installation.id))
    return addresses_in(await session.scalars(configs))


def addresses_in(configs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Everything that the mailboxes with these settings send as, in lower case."""
    named = [(one.get("username"), one.get("from_address"), *(one.get("addresses") or ())) for one in configs]
    return frozenset(str(address).strip().lower() for names in named for address in names if address)


def adapter_settings(config: ProtonMailConfig, password: str, start_at_ms: int = 0) -> ProtonMailSettings:
    """In the adapter's words."""
    return ProtonMailSettings(
        username=config.username.strip(),
        password=password,
        certificate_pem=config.certificate,
        host=config.host,
        imap_port=config.imap_port,
        smtp_port=config.smtp_port,
        tls=Tls(config.tls),
        addresses=tuple(config.addresses),
        from_address=config.from_address,
        from_name=config.from_name,
        folders=tuple(config.folders),
        sent_folder=config.sent_folder,
        idle=config.idle,
        start_at_ms=start_at_ms,
        pace=Pace(
            poll_s=config.poll_s, look_up_s=config.look_up_s, look_up_every_s=min(5.0, config.look_up_s / 2)
        ),
    )
