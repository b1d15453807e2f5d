"""What follows a model failure, and the one sentence a person reads when nothing more follows. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from .types import FailureKind, ModelFailure

PRIMARY_ATTEMPTS: Final = 4
FALLBACK_ATTEMPTS: Final = 2
BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 30.0
RETRY_AFTER_CAP_S: Final = (
    60.0  # a provider may ask for an hour; a person in a channel does not wait that long
)

PASSING: Final = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.TIMED_OUT,
        FailureKind.UNREACHABLE,
        FailureKind.MALFORMED,
    }
)
# Another provider may well accept these. Not a refusal: shopping for a model that says yes is no recovery.
WORTH_ANOTHER_MODEL: Final = PASSING | {
    FailureKind.CREDENTIAL_REFUSED,
    FailureKind.BAD_REQUEST,
    FailureKind.CONTEXT_TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Call the same endpoint again after this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FallBack:
    """Call the fallback at once, counting its attempts from 1."""


@dataclass(frozen=True, slots=True)
class ShortenContext:
    """Cut the conversation (about in half), say so to the model, and call the same endpoint again."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing more helps. `sentence` goes to the channel."""

    sentence: str


Decision: TypeAlias = RetryIn | FallBack | ShortenContext | GiveUp


class Limit(StrEnum):
    """Why a run ends or a person is turned away, without any failure of a model."""

    STEPS = "steps"
    TOKENS = "tokens"
    MONEY = "money"
    TIME = "time"
    REFUSED = "not_approved"  # a person who had to approve said no; a model that refuses is another thing
    NOT_ALLOWED = "not_allowed"


def decide(
    failure: ModelFailure,
    attempt: int,
    has_fallback: bool,
    on_fallback: bool,
    rng: random.Random | None = None,
) -> Decision:
    """Say what follows `failure`.

    Args: attempt counts the calls made to this endpoint in this step, the failed one included (so 1 at first).
    """
    budget = FALLBACK_ATTEMPTS if on_fallback else PRIMARY_ATTEMPTS
    can_fall_back = has_fallback and not on_fallback and failure.kind in WORTH_ANOTHER_MODEL
    if failure.kind is FailureKind.CONTEXT_TOO_LONG and attempt < budget:
        return ShortenContext()
    if failure.kind in PASSING and attempt < budget and not (can_fall_back and _asks_too_much(failure)):
        return RetryIn(wait_s(failure, attempt, rng or random.Random()))
    return FallBack() if can_fall_back else GiveUp(sentence(failure.kind))


def wait_s(failure: ModelFailure, attempt: int, rng: random.Random) -> float:
    """Exponential backoff with full jitter, never sooner than the provider asked (up to a cap)."""
    jittered = rng.uniform(0, min(BACKOFF_CAP_S, BASE_S * 2 ** (attempt - 1)))
    asked = min(failure.retry_after_s or 0.0, RETRY_AFTER_CAP_S)
    # Jitter on top: everybody whom the provider asked to wait 5 s would otherwise return in the same instant.
    return asked + jittered if asked > 0 else jittered


def _asks_too_much(failure: ModelFailure) -> bool:
    return (failure.retry_after_s or 0.0) > RETRY_AFTER_CAP_S


_SENTENCES: Final[dict[FailureKind | Limit, str]] = {
    FailureKind.RATE_LIMITED: "I am getting too many requests at the moment and could not answer; please ask me again in a few minutes.",
    FailureKind.OVERLOADED: "The service that I think with is overloaded, so I could not answer; please ask me again in a few minutes.",
    FailureKind.TIMED_OUT: "I took too long to think about this and stopped; please ask me again, perhaps with a shorter question.",
    FailureKind.UNREACHABLE: "I cannot reach the service that I think with; please try again later, and tell an administrator if it stays like this.",
    FailureKind.MALFORMED: "I could not put together a usable answer; please ask me again in other words.",
    FailureKind.REFUSED: "I am not able to answer this one; please ask in other words, or ask a colleague.",
    FailureKind.CONTEXT_TOO_LONG: "This conversation has become too long for me; please start a new thread with just your question.",
    FailureKind.CREDENTIAL_REFUSED: "The service that I think with does not accept our account; please ask an administrator to check its key and its credit.",
    FailureKind.BAD_REQUEST: "My settings do not work, so I could not answer; please ask an administrator to check which model I use.",
    Limit.STEPS: "This took more steps than I am allowed, so I stopped; please ask for less at once.",
    Limit.TOKENS: "This became longer than I am allowed, so I stopped; please ask for less at once, or start a new thread.",
    Limit.MONEY: "The budget that I may spend is used up, so I stopped; please ask an administrator to raise it.",
    Limit.TIME: "This took longer than I am allowed, so I stopped; please ask for less at once, or try again later.",
    Limit.REFUSED: "This was not approved, so I changed nothing; please ask the person who decided if you need to know why.",
    Limit.NOT_ALLOWED: "You may not have me do this here; please ask an administrator if you should be able to.",
}


def sentence(kind: FailureKind | Limit) -> str:
    """The one sentence for the channel: no jargon, and what to do or whom to ask."""
    return _SENTENCES[kind]
