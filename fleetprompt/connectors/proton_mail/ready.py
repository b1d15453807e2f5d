"""A mail as far as it can be worked out by itself: the reader does that while another batch is being stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from adapters.contract import Inbound
from adapters.proton_mail import MailReceived
from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.proton_mail.pasted import without_secrets
from fleetprompt.connectors.proton_mail.payload import fact_of, words_of
from fleetprompt.kernel.json import clean_object, clean_text


@dataclass(frozen=True, slots=True)
class ReadyMail(MailReceived):
    """Without secrets. kinds: of those that were taken out. fact: the payload of its signal, but for its place in a
    conversation, which the batch finds; said: what the conversation shows. Both as Postgres can hold them.
    """

    kinds: tuple[str, ...] = ()
    fact: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""


_FIELDS: Final = tuple(one.name for one in fields(MailReceived))


def ready(source: Source, event: Inbound) -> ReadyMail:
    """The same mail; one that is ready already stays as it is."""
    if isinstance(event, ReadyMail):
        return event
    kept, kinds = without_secrets(cast(MailReceived, event))
    values = {name: getattr(kept, name) for name in _FIELDS}
    return ReadyMail(
        **values, kinds=kinds, fact=_clean(fact_of(source, kept)), said=clean_text(words_of(kept))
    )


def _clean(fact: dict[str, Any]) -> dict[str, Any]:
    """The long texts by themselves: one look at JSON with them in it takes ten times as long."""
    texts = {name: clean_text(fact[name]) for name in ("text", "request")}
    return {**clean_object({**fact, **dict.fromkeys(texts, "")}), **texts}
