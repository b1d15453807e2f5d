"""What a mailbox may send now: counted in the database, so that neither a restart nor another worker forgets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select, text

from fleetprompt.model import Installation, SuppressedAddress
from fleetprompt.runtime.directives import EffectTry
from fleetprompt.tenancy import TenantSession

LEAST_WAIT_S: Final = 5.0
MOST_WAIT_S: Final = 900.0  # then it is looked again: settings may have changed

# Those on their way count too; of two at once the earlier one goes.
_SENT = text("""
select count(*), extract(epoch from min(at) + make_interval(secs => :window_s) - clock_timestamp())::float8
from (
    select coalesce(e.finished_at, clock_timestamp()) as at
    from effects e join directives d on d.id = e.directive_id
    where d.installation_id = :installation_id and d.name = 'email.send' and e.key <> :key
        and (e.state = 'sent' or e.state = 'unknown' or (e.state = 'sending' and e.key < :key))
        and coalesce(e.finished_at, clock_timestamp()) > clock_timestamp() - make_interval(secs => :window_s)
    order by at desc limit :most) as sent
""")


async def wait_for_allowance_s(
    session: TenantSession, installation: Installation, effect: EffectTry
) -> float:
    """0 = it may go now; otherwise the seconds until there is room."""
    config = installation.config
    windows = ((3600, config.get("mails_per_hour", 40)), (86_400, config.get("mails_per_day", 140)))
    waits = [0.0]
    for window_s, most in windows:
        values = {
            "installation_id": installation.id,
            "key": effect.key,
            "window_s": window_s,
            "most": int(most),
        }
        count, room_in_s = (await session.execute(_SENT, values)).one()
        if count >= int(most):
            waits.append(min(MOST_WAIT_S, max(LEAST_WAIT_S, float(room_in_s or 0))))
    return max(waits)


async def suppressed(session: TenantSession, addresses: Sequence[str]) -> list[str]:
    """Those of the addresses that nothing is sent to."""
    wanted = [address.lower() for address in addresses]
    query = select(SuppressedAddress.address).where(SuppressedAddress.address.in_(wanted))
    return sorted(await session.scalars(query))
