"""The one place that reads the time. Leases are decided by the database's clock, never by this one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in unix milliseconds, as chat servers count."""
    return int(time.time() * 1000)


def monotonic_s() -> float:
    """Seconds that never run backwards; for durations."""
    return time.monotonic()
