"""Proton Mail's words: how an adapter is built, and what of a mail is the request."""

from __future__ import annotations

from typing import Final

from adapters.contract import Adapter, Observer
from adapters.proton_mail import ProtonMailAdapter
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.connectors.proton_mail.ready import ready
from fleetprompt.connectors.proton_mail.receive import MailBatch
from fleetprompt.connectors.proton_mail.settings import ProtonMailConfig, adapter_settings
from fleetprompt.kernel import clock
from fleetprompt.kernel.secret import Secret

PACKAGE: Final = "proton-mail"
PASSWORD: Final = "bridge_password"  # noqa: S105 (the secret's name)
SEND: Final = "email.send"


def build(account: Account, observer: Observer | None = None) -> Adapter:
    """An adapter for one account; a missing password is a wrong one."""
    config = ProtonMailConfig.model_validate(dict(account.config))
    password = account.secrets.get(PASSWORD, Secret("")).reveal()
    start_at_ms = account.start_at_ms // 1000 * 1000  # a mailbox tells when mail came by the second
    return ProtonMailAdapter(adapter_settings(config, password, start_at_ms), observer, clock.now_ms)


def start_at_ms(config: object) -> int | None:
    """From when mail is answered, if the settings say so."""
    return ProtonMailConfig.model_validate(config).since_ms


PROTON_MAIL: Final = Binding(
    package=PACKAGE,
    config=ProtonMailConfig,
    secrets=(PASSWORD,),
    build=build,
    parts=lambda text, _: [text],
    request=lambda _, text: text,
    directive=SEND,
    batch=MailBatch,
    prepare=ready,
    start_at_ms=start_at_ms,
    sent_to=("host", "imap_port", "smtp_port", "certificate"),
)
