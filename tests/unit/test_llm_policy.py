"""Which outcome follows which model failure."""

from __future__ import annotations

import random

import pytest

from fleetprompt.runtime.llm.policy import (
    FALLBACK_ATTEMPTS,
    PASSING,
    PRIMARY_ATTEMPTS,
    RETRY_AFTER_CAP_S,
    FallBack,
    GiveUp,
    Limit,
    RetryIn,
    ShortenContext,
    decide,
    sentence,
)
from fleetprompt.runtime.llm.types import FailureKind, ModelFailure


def failed(kind: FailureKind, retry_after_s: float | None = None) -> ModelFailure:
    return ModelFailure(kind, "test", retry_after_s)


def path(kind: FailureKind, has_fallback: bool) -> list[str]:
    """Play a kind of failure until it ends; name each decision."""
    names: list[str] = []
    attempt, on_fallback = 1, False
    while True:
        decision = decide(failed(kind), attempt, has_fallback, on_fallback, random.Random(1))
        names.append(type(decision).__name__)
        if isinstance(decision, GiveUp):
            return names
        attempt, on_fallback = (1, True) if isinstance(decision, FallBack) else (attempt + 1, on_fallback)


@pytest.mark.parametrize("kind", sorted(PASSING))
def test_passing_failure_is_tried_four_times_then_twice_on_the_fallback(kind: FailureKind) -> None:
    assert path(kind, True) == ["RetryIn"] * 3 + ["FallBack", "RetryIn", "GiveUp"]
    assert path(kind, False) == ["RetryIn"] * 3 + ["GiveUp"]


@pytest.mark.parametrize("kind", [FailureKind.CREDENTIAL_REFUSED, FailureKind.BAD_REQUEST])
def test_lasting_failure_goes_straight_to_the_fallback(kind: FailureKind) -> None:
    assert path(kind, True) == ["FallBack", "GiveUp"]
    assert path(kind, False) == ["GiveUp"]


def test_refusal_is_final_even_with_a_fallback() -> None:
    assert path(FailureKind.REFUSED, True) == ["GiveUp"]


def test_long_context_is_shortened_before_anything_else() -> None:
    assert path(FailureKind.CONTEXT_TOO_LONG, False) == ["ShortenContext"] * 3 + ["GiveUp"]
    assert path(FailureKind.CONTEXT_TOO_LONG, True)[3:] == ["FallBack", "ShortenContext", "GiveUp"]
    assert decide(failed(FailureKind.CONTEXT_TOO_LONG), 1, True, True) == ShortenContext()


@pytest.mark.parametrize("attempt", range(1, PRIMARY_ATTEMPTS))
def test_backoff_is_full_jitter_below_a_doubling_ceiling(attempt: int) -> None:
    seconds = []
    for seed in range(200):
        decision = decide(failed(FailureKind.OVERLOADED), attempt, False, False, random.Random(seed))
        assert isinstance(decision, RetryIn)
        seconds.append(decision.seconds)
    ceiling = 2 ** (attempt - 1)
    assert 0 <= min(seconds) < ceiling * 0.1
    assert ceiling * 0.9 < max(seconds) <= ceiling


def test_wait_is_never_shorter_than_the_provider_asked() -> None:
    for seed in range(50):
        decision = decide(failed(FailureKind.RATE_LIMITED, 7.0), 1, False, False, random.Random(seed))
        assert isinstance(decision, RetryIn)
        assert 7.0 <= decision.seconds <= 8.0


def test_absurd_retry_after_is_capped_or_answered_by_the_fallback() -> None:
    failure = failed(FailureKind.RATE_LIMITED, 3600.0)
    assert decide(failure, 1, True, False) == FallBack()
    capped = decide(failure, 1, False, False, random.Random(1))
    assert isinstance(capped, RetryIn)
    assert capped.seconds <= RETRY_AFTER_CAP_S + 1


def test_fallback_never_falls_back_again() -> None:
    for kind in FailureKind:
        assert decide(failed(kind), FALLBACK_ATTEMPTS, True, True) == GiveUp(sentence(kind))


@pytest.mark.parametrize("kind", [*FailureKind, *Limit])
def test_each_end_has_one_sentence_without_jargon(kind: FailureKind | Limit) -> None:
    said = sentence(kind)
    assert said.count(".") == 1
    assert said.endswith(".")
    assert "ask" in said or "please" in said
    jargon = {
        "http",
        "api",
        "token",
        "context",
        "429",
        "timeout",
        "model provider",
        "llm",
        "endpoint",
        "json",
    }
    assert not [word for word in jargon if word in said.lower()]


def test_every_reason_has_a_sentence_of_its_own() -> None:
    reasons = [*FailureKind, *Limit]
    assert len({sentence(reason) for reason in reasons}) == len(reasons)
