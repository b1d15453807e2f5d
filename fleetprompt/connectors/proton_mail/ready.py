"""A mail as far as it can be worked out by itself: the reader does that while another batch is being stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, cast

from adapters.contract import Inbound
from adapters.proton_mail import MailReceived
from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.proton_mail.pasted import without_secrets
from fleetprompt.connectors.proton_mail.payload import fact_of, words_of
from fleetprompt.kernel.json import clean_object, clean_text
from fleetprompt.model.payload import LONG_CHARS


@dataclass(frozen=True, slots=True)
class ReadyMail(MailReceived):
    """Without secrets. kinds: of those that were taken out. fact: the payload of its signal, but for its place in a
    conversation, which the batch finds; said: what the conversation shows. Both as Postgres can hold them.
    """

    kinds: tuple[str, ...] = ()
    fact: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""

    @property
    def is_said_in_fact(self) -> bool:
        """A long text is stored once: whoever reads the message finds it in the fact."""
        return len(self.said) >= LONG_CHARS and self.said == self.fact["request"]


_NAMES: Final = tuple(one.name for one in fields(MailReceived))
_VALUES: Final = attrgetter(*_NAMES)


def ready(source: Source, event: Inbound) -> ReadyMail:
    """The same mail; one that is ready already stays as it is."""
    if isinstance(event, ReadyMail):
        return event
    kept, kinds = without_secrets(cast(MailReceived, event))
    told, words = fact_of(source, kept), words_of(kept)
    fact = _clean(told)
    said = fact["request"] if words is told["request"] else clean_text(words)
    values = dict(zip(_NAMES, _VALUES(kept), strict=True))
    return ReadyMail(**values, kinds=kinds, fact=fact, said=said)


def _clean(fact: dict[str, Any]) -> dict[str, Any]:
    """The long texts by themselves: one look at JSON with them in it takes ten times as long."""
    text, request = fact["text"], fact["request"]
    clean = clean_text(text)
    texts = {"text": clean, "request": clean if request is text else clean_text(request)}
    return {**clean_object({**fact, **dict.fromkeys(texts, "")}), **texts}
