"""Which HTTP status says what one of our own errors says."""

from __future__ import annotations

from typing import Final

from fleetprompt.kernel.errors import FleetPromptError

STATUS: Final = {
    "unauthorized": 401,
    "wrong_password": 403,
    "not_allowed": 403,
    "not_found": 404,
    "conflict": 409,
    "last_owner": 409,
    "rate_limited": 429,
    "unavailable": 503,
}
"""Any other error is about what was given: 400."""


def status_of(error: FleetPromptError) -> int:
    """4xx for what the caller can mend, 503 for what is away."""
    return STATUS.get(error.code, 400)


def headers_of(error: FleetPromptError) -> dict[str, str]:
    """When to come again, and how to say who one is."""
    if error.code == "unauthorized":
        return {"WWW-Authenticate": "Bearer"}
    seconds = getattr(error, "retry_after_s", 5 if error.code == "unavailable" else None)
    return {} if seconds is None else {"Retry-After": str(seconds)}
