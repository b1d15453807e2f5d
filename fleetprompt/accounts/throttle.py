"""How often something may be tried: counted before it is tried, in the database, so that no two processes miscount."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import FleetPromptError

QUARTER_S: Final = 900.0

_COUNT = text("""
insert into public.attempts as a (key, count) values (:key, 1)
on conflict (key) do update set
    count = case when a.since < now() - make_interval(secs => :window_s) then 1 else a.count + 1 end,
    since = case when a.since < now() - make_interval(secs => :window_s) then now() else a.since end
returning count as tries, extract(epoch from since + make_interval(secs => :window_s) - now())::float as left_s
""")
_FORGIVE = text("delete from public.attempts where key = any(:keys)")
_SWEEP = text("delete from public.attempts where since < now() - interval '1 day'")


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many tries in a window, which begins with the first. whose: what is counted together."""

    what: str
    whose: tuple[str, ...]
    most: int
    window_s: float = QUARTER_S

    @property
    def key(self) -> str:
        """A hash, so that the table is no list of who came from where."""
        return hashlib.sha256(
            "\0".join((self.what, *self.whose)).encode("utf-8", "surrogatepass")
        ).hexdigest()


class TooManyAttempts(FleetPromptError):
    """Tried too often; retry_after_s: when it may be tried again."""

    code = "rate_limited"

    def __init__(self, bucket: Bucket, retry_after_s: float) -> None:
        minutes = max(1, round(retry_after_s / 60))
        super().__init__(
            "This was tried too often.",
            f"Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again.",
        )
        self.bucket = bucket
        self.retry_after_s = max(1, round(retry_after_s))


async def count(database: Database, *buckets: Bucket) -> None:
    """Count one try in each. Raises TooManyAttempts for the first that is full."""
    for bucket in buckets:
        left_s = await overflow_s(database, bucket)
        if left_s is not None:
            raise TooManyAttempts(bucket, left_s)


async def overflow_s(database: Database, bucket: Bucket) -> float | None:
    """Count one try; None while there is room for it, else the seconds until there is."""
    tries, left_s = await tally(database, bucket)
    return left_s if tries > bucket.most else None


async def tally(database: Database, bucket: Bucket) -> tuple[int, float]:
    """Count one try; returns the tries of the window, this one included, and the seconds until it ends."""
    async with database.at_once() as connection:
        row = (await connection.execute(_COUNT, {"key": bucket.key, "window_s": bucket.window_s})).one()
    return row.tries, row.left_s


async def forgive(database: Database, *buckets: Bucket) -> None:
    """It went well: what was tried before counts no more."""
    async with database.at_once() as connection:
        await connection.execute(_FORGIVE, {"keys": [bucket.key for bucket in buckets]})
        await connection.execute(_SWEEP)


def network_of(address: str) -> str:
    """What is counted as one caller: an address, of IPv6 the /64 that one household has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
