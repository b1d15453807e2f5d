"""A token bucket for each tenant, installation and endpoint, in this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from fleetprompt.kernel import clock
from fleetprompt.kernel.ids import TenantSlug

BucketKey = tuple[TenantSlug, UUID, str]
MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    seen_at_s: float


class TokenBuckets:
    """Calls may come in bursts of `burst` and otherwise `per_second`; forgotten buckets are full."""

    def __init__(self, monotonic_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._monotonic_s = monotonic_s
        self._buckets: OrderedDict[BucketKey, _Bucket] = OrderedDict()

    def wait_s(self, key: BucketKey, per_second: float, burst: int) -> float:
        """Take a token and return 0, or return the seconds until there is one, taking none."""
        now_s = self._monotonic_s()
        bucket = self._buckets.setdefault(key, _Bucket(float(burst), now_s))
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(float(burst), bucket.tokens + (now_s - bucket.seen_at_s) * per_second)
        bucket.seen_at_s = now_s
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / per_second
        bucket.tokens -= 1.0
        return 0.0
