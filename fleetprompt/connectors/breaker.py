"""When not to call: the far side asked us to wait, or it failed several times in a row. Kept with the installation's
health, so that all workers know; only the database's clock decides."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)
from fleetprompt.connectors.sending import note_fault
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import Tenancy, TenantSession

OPENS_AT = 5  # failures in a row
OPEN_S = 10.0  # then nobody calls for so long; afterwards one tries
RATE_LIMIT_S = 1.0  # when the far side does not say

_LOOK = Sql(
    "select failures, coalesce(extract(epoch from blocked_until - clock_timestamp()), 0)::float8,"
    " blocked_until is not null, sending_error_code is not null from installation_health where installation_id = :id"
)
_PROBE = Sql(
    "update installation_health set blocked_until = clock_timestamp() + make_interval(secs => :open_s)"
    " where installation_id = :id and failures >= :opens_at and blocked_until <= clock_timestamp() returning 1"
)
_BLOCK = text(
    "update installation_health set blocked_until = clock_timestamp() + make_interval(secs => :wait_s),"
    " updated_at = now() where installation_id = :id"
)
_COUNT = text(
    "update installation_health set failures = failures + :counts, last_error = :error, last_error_code = :code,"
    " last_error_at = now(), remedy = coalesce(:remedy, remedy), updated_at = now(),"
    " blocked_until = case when :counts = 1 and failures + 1 >= :opens_at"
    " then clock_timestamp() + make_interval(secs => :open_s) else blocked_until end where installation_id = :id"
)
_RESET = text(
    "update installation_health set failures = 0, blocked_until = null, updated_at = now(),"
    " sending_error = null, sending_error_code = null, sending_error_at = null, sending_remedy = null"
    " where installation_id = :id"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """wait_s: nobody may call for so long. troubled: a success has something to reset."""

    wait_s: float
    troubled: bool
    failures: int = 0


async def standing(session: TenantSession, installation_id: UUID) -> Standing:
    """Whether we may call now. With the breaker half open exactly one caller may."""
    rows = await session.fetch(_LOOK, {"id": installation_id})
    if not rows:
        return Standing(0.0, troubled=False)
    failures, wait_s, was_blocked, is_faulty = rows[0]
    if wait_s > 0 or failures < OPENS_AT or not was_blocked:
        return Standing(max(0.0, wait_s), failures > 0 or was_blocked or is_faulty, failures)
    probe = {"id": installation_id, "opens_at": OPENS_AT, "open_s": OPEN_S}
    is_ours = bool(await session.fetch(_PROBE, probe))
    return Standing(0.0 if is_ours else OPEN_S, True, failures)


async def note_success(tenancy: Tenancy, tenant: TenantSlug, installation_id: UUID) -> None:
    """Close the breaker; nobody has to mend anything either."""
    async with tenancy.session(tenant) as session:
        await session.execute(_RESET, {"id": installation_id})


async def note_failure(
    tenancy: Tenancy,
    tenant: TenantSlug,
    installation_id: UUID,
    error: AdapterError,
    *,
    package: str,
    registry: Registry | None,
) -> None:
    """Remember what failed; a rate limit blocks at once, a disturbed far side after several in a row.

    registry: given where it failed to send, so that what a person has to mend is kept until it can send again.
    """
    async with tenancy.session(tenant) as session:
        if isinstance(error, RateLimited):
            await session.execute(_BLOCK, {"id": installation_id, "wait_s": rate_limit_s(error)})
        elif not isinstance(error, Refused):
            # What is not allowed is so in one place: the installation sends to the others.
            is_kept = registry is not None and isinstance(error, CredentialRefused | Misconfigured)
            values = {
                "id": installation_id,
                "error": error.detail,
                "code": error.code,
                "remedy": None if is_kept else error.advice,
                "counts": int(isinstance(error, Unreachable | TimedOut | FarSideFailed | OutcomeUnknown)),
                "opens_at": OPENS_AT,
                "open_s": OPEN_S,
            }
            await session.execute(_COUNT, values)
            if registry is not None and is_kept:
                await note_fault(session, registry, package, installation_id, error)


def rate_limit_s(error: RateLimited) -> float:
    """Seconds to wait."""
    return RATE_LIMIT_S if error.retry_after_s is None else error.retry_after_s
