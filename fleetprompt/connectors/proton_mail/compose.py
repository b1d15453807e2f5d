"""An answer becomes `email.send`: the thread decides who gets it, the installation who sends it, the policy who looks first.

Nothing but an answer leaves by mail: failures, questions for approval and notices are not for customers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select

from fleetprompt.connectors.proton_mail.caps import without_capped
from fleetprompt.connectors.proton_mail.names import without_token
from fleetprompt.connectors.proton_mail.payload import RECEIVED
from fleetprompt.connectors.proton_mail.recipients import recipients_of
from fleetprompt.connectors.proton_mail.settings import own_addresses
from fleetprompt.connectors.proton_mail.wake import unanswered
from fleetprompt.kernel.json import clean_text
from fleetprompt.model import Conversation, Execution, Installation, Signal
from fleetprompt.runtime.registry import Composed, Registry, Saying, Speech
from fleetprompt.runtime.signals import emit
from fleetprompt.runtime.tools.trust import doubt_of
from fleetprompt.tenancy import TenantSession

DRAFT_LASTS_S: Final = 7 * 24 * 3600.0
POLICY: Final = "The mailbox's policy asks for approval."
MAX_SUBJECT_CHARS: Final = 250
_ANSWERED: Final = ("re:", "aw:", "sv:", "antw:", "ref:")


class SendArguments(BaseModel):
    """A mail that answers another one. answers: that mail's signal; to, cc: people of its thread, nobody else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: UUID
    to: list[str] = Field(min_length=1, max_length=100)
    cc: list[str] = Field(default_factory=list, max_length=100)
    subject: str = Field(max_length=1000)
    text: str = Field(max_length=200_000)

    @field_validator("text", "subject", mode="before")
    @classmethod
    def _is_clean(cls, value: Any) -> Any:
        return clean_text(value) if isinstance(value, str) else value

    @field_validator("text")
    @classmethod
    def _has_text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("an empty mail is not sent")
        return value


def composing(
    registry: Registry,
) -> Callable[[TenantSession, Conversation, Saying], Awaitable[Composed | None]]:
    """The channel's `compose`. What would be a notice in a chat, such as a paused agent's, is told to people of ours."""

    async def compose(session: TenantSession, conversation: Conversation, saying: Saying) -> Composed | None:
        if saying.speech is Speech.NOTICE:
            await _tell_people(session, registry, conversation, saying)
        if saying.speech is not Speech.ANSWER or saying.execution_id is None:
            return None
        return await _answer(session, conversation, saying)

    return compose


async def _tell_people(
    session: TenantSession, registry: Registry, conversation: Conversation, saying: Saying
) -> None:
    mail = await session.get(Signal, saying.causation_id) if saying.causation_id is not None else None
    if mail is not None:
        await emit(session, registry, unanswered(mail, saying.text))


async def _answer(session: TenantSession, conversation: Conversation, saying: Saying) -> Composed | None:
    """The answer of a run to the mail that started it."""
    assert saying.execution_id is not None
    mail = await _answered(session, saying.execution_id)
    installation = await session.get(Installation, conversation.installation_id)
    if mail is None or installation is None:
        return None
    config = installation.config
    own = await own_addresses(session, installation)
    found = recipients_of(mail.payload, config.get("cc", "sender"), own)
    cc = await without_capped(session, saying.execution_id, found.cc) if found.cc else ()
    if not found.to:
        return None
    arguments = {
        "answers": str(mail.id),
        "to": list(found.to),
        "cc": list(cc),
        "subject": answered_subject(str(mail.payload.get("subject", ""))),
        "text": saying.text,
    }
    return Composed(arguments, _approval_reason(config, mail.payload), DRAFT_LASTS_S)


def _approval_reason(config: Mapping[str, Any], mail: Mapping[str, Any]) -> str | None:
    """The policy's, and what speaks against the sender: that asks whatever the policy says."""
    asks = config.get("policy", "ask") != "send"
    return " ".join(filter(None, (POLICY if asks else None, doubt_of(mail.get("trust"))))) or None


async def _answered(session: TenantSession, execution_id: UUID) -> Signal | None:
    query = select(Signal).join(Execution, Execution.signal_id == Signal.id)
    found: Signal | None = await session.scalar(query.where(Execution.id == execution_id))
    return found if found is not None and found.name == RECEIVED else None


def answered_subject(subject: str) -> str:
    """`A question` -> `Re: A question`, once."""
    plain = without_token(subject)
    if plain.casefold().startswith(_ANSWERED):
        return plain[:MAX_SUBJECT_CHARS]
    return f"Re: {plain}"[:MAX_SUBJECT_CHARS].strip()
