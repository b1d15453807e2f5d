"""What a mailbox may send now: counted in the database, so that neither a restart nor another worker forgets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from fleetprompt.model import Installation, SuppressedAddress
from fleetprompt.tenancy import TenantSession

LEAST_WAIT_S: Final = 5.0
MOST_WAIT_S: Final = 900.0  # then it is looked again: settings may have changed

_ONE_BY_ONE = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")
# Read apart from what they sent: of values that it sees Postgres knows whether an index is worth while.
_OF_ACCOUNT = text("select id from installations where id = :id or account ->> 'key' = :account")
# Those on their way count too: whoever is among them was let through, or is about to learn that there is no room.
_SENT = text("""
select count(*), extract(epoch from min(at) + make_interval(secs => :window_s) - clock_timestamp())::float8
from (
    select coalesce(e.finished_at, clock_timestamp()) as at
    from effects e join directives d on d.id = e.directive_id
    where d.installation_id = any(cast(:installation_ids as uuid[])) and d.name = 'email.send' and d.id <> :directive_id
        and (e.state in ('sent', 'unknown') or (e.state = 'sending' and (cast(:key as text) is null or e.key < :key)))
        and coalesce(e.finished_at, clock_timestamp()) > clock_timestamp() - make_interval(secs => :window_s)
    order by at desc limit :most) as sent
""")


async def wait_for_allowance_s(
    session: TenantSession, installation: Installation, directive_id: UUID, key: str | None = None
) -> float:
    """0 = it may go now; otherwise the seconds until there is room.

    Counted for the account, as Proton does: what it sent before it was uninstalled and installed again counts too.

    In the transaction that writes `sending` it is exact: two of one account come here one after the other, and the later
    one sees the earlier one. key: of an effect that is `sending` already, since its process died; among such ones the
    first goes, or all would wait for one another.
    """
    config = installation.config
    account = (installation.account or {}).get("key")
    await session.execute(_ONE_BY_ONE, {"key": f"mail.allowance:{account or installation.id}"})
    of_account = await session.scalars(_OF_ACCOUNT, {"id": installation.id, "account": account})
    installation_ids = list(of_account)
    windows = ((3600, config.get("mails_per_hour", 40)), (86_400, config.get("mails_per_day", 140)))
    waits = [0.0]
    for window_s, most in windows:
        values = {
            "installation_ids": installation_ids,
            "directive_id": directive_id,
            "key": key,
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
