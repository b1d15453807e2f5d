"""Each way a provider fails, as one of our kinds. Imports pydantic_ai: only `wire` imports this."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic_ai import exceptions as wire

from .types import FailureKind, ModelFailure

# First match wins: subclasses before their bases.
_KINDS: Final[tuple[tuple[type[wire.ModelAPIError], FailureKind], ...]] = (
    (wire.ModelRateLimitError, FailureKind.RATE_LIMITED),
    (wire.ModelQuotaExceededError, FailureKind.CREDENTIAL_REFUSED),  # waiting does not fill an account
    (wire.ModelUnavailableError, FailureKind.OVERLOADED),
    (wire.ModelServerError, FailureKind.OVERLOADED),
    (wire.ModelTimeoutError, FailureKind.TIMED_OUT),
    (wire.ModelRequestTimeout, FailureKind.TIMED_OUT),
    (wire.ModelConnectionError, FailureKind.UNREACHABLE),
    (wire.ModelContextWindowExceededError, FailureKind.CONTEXT_TOO_LONG),
    (wire.ModelAuthenticationError, FailureKind.CREDENTIAL_REFUSED),
)
_BY_STATUS: Final = {
    408: FailureKind.TIMED_OUT,
    409: FailureKind.OVERLOADED,
    413: FailureKind.CONTEXT_TOO_LONG,
}
_CONTENT_CODES: Final = frozenset(
    {"content_filter", "content_policy_violation"}
)  # OpenAI and Azure, as a 400
# What reading an answer of the wrong shape raises inside pydantic-ai and the SDKs (no choices, a list for an object).
_UNREADABLE: Final = (LookupError, TypeError, AttributeError, ValueError)


@contextmanager
def translated(model: str) -> Iterator[None]:
    """Raise ModelFailure for whatever the provider call inside raises."""
    try:
        yield
    except wire.ContentFilterError as error:
        raise ModelFailure(FailureKind.REFUSED, f"{model} refused by its content rules") from error
    except wire.ModelAPIError as error:
        raise _from_api(model, error) from error
    except wire.UnexpectedModelBehavior as error:
        raise ModelFailure(FailureKind.MALFORMED, f"{model} gave an answer that cannot be read") from error
    except wire.UserError as error:
        raise ModelFailure(FailureKind.BAD_REQUEST, f"{model} cannot be asked this") from error
    except TimeoutError as error:
        raise ModelFailure(FailureKind.TIMED_OUT, f"{model} did not answer in time") from error
    except _UNREADABLE as error:
        raise ModelFailure(FailureKind.MALFORMED, f"{model} gave an answer of an unknown shape") from error


def _from_api(model: str, error: wire.ModelAPIError) -> ModelFailure:
    return ModelFailure(_kind(error), f"{model}: {_detail(error)}", error.retry_after)


def _kind(error: wire.ModelAPIError) -> FailureKind:
    if error.provider_error_code in _CONTENT_CODES:
        return FailureKind.REFUSED
    for cls, kind in _KINDS:
        if isinstance(error, cls):
            return kind
    if isinstance(error, wire.ModelHTTPError):
        return _BY_STATUS.get(error.status_code, FailureKind.BAD_REQUEST)
    return FailureKind.MALFORMED


def _detail(error: wire.ModelAPIError) -> str:
    """Status and code alone: a provider's message may quote the conversation, or the key."""
    parts = (
        [f"HTTP {error.status_code}"] if isinstance(error, wire.ModelHTTPError) else [type(error).__name__]
    )
    for word in (error.provider_error_code, error.provider_error_type):
        if word and re.fullmatch(r"[a-z][a-z0-9_]{1,40}", word) and word not in parts:
            parts.append(word)
    return " ".join(parts)
