"""How many answers an address gets: counted for each that an answer would go to, whoever asked for it.

Counted when a run begins, so that mails which come at once do not all slip through. What a person approved does not
count for the day: it is no machine that talks to a machine there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from fleetprompt.database.driver import Sql
from fleetprompt.model import Installation, MailAnswer, Signal
from fleetprompt.tenancy import TenantSession

DAY_IS_HOURS: Final = 4  # a day's answers that nobody approved are those of so many hours
HOUR: Final = "sender_cap"
DAY: Final = "sender_day_cap"

# In one order, or two mails to the same two people would wait for each other.
_LOCK = Sql(
    "select pg_advisory_xact_lock(one.key) from (select distinct hashtextextended(name, 0) as key"
    " from unnest(cast(:names as text[])) as given (name) order by 1) as one"
)
_RECENT = Sql("""
select a.address, count(*) filter (where a.created_at > now() - interval '1 hour'),
    count(*) filter (where d.approved_by is null)
from mail_answers a left join executions e on e.id = a.execution_id left join directives d on d.id = e.directive_id
where a.installation_id = :installation_id and a.address = any(:addresses)
    and a.created_at > now() - interval '1 day' group by a.address
""")
_COUNT = Sql("""
insert into mail_answers (execution_id, address, installation_id)
select e.id, given.address, :installation_id from executions e, unnest(cast(:addresses as text[])) as given (address)
where e.signal_id = :signal_id on conflict do nothing
""")


@dataclass(frozen=True, slots=True)
class Caps:
    """What these addresses got of late: address -> (in an hour, in a day without a person)."""

    got: Mapping[str, tuple[int, int]]
    per_hour: int

    def reached(self, address: str) -> str | None:
        """Which cap, in a word."""
        in_hour, in_day = self.got.get(address, (0, 0))
        if in_hour >= self.per_hour:
            return HOUR
        return DAY if in_day >= self.per_hour * DAY_IS_HOURS else None


async def caps_of(session: TenantSession, installation: Installation, addresses: Collection[str]) -> Caps:
    """Held until the transaction ends: mails that would have the same address answered are judged one after the other."""
    wanted = sorted(set(addresses))
    names = [f"mail:{session.tenant}:{installation.id}:{one}" for one in wanted]
    await session.fetch(_LOCK, {"names": names})
    rows = await session.fetch(_RECENT, {"installation_id": installation.id, "addresses": wanted})
    got = {address: (int(in_hour), int(in_day)) for address, in_hour, in_day in rows}
    return Caps(got, int(installation.config.get("answers_per_sender_per_hour", 6)))


async def count(session: TenantSession, signal: Signal, addresses: Collection[str]) -> None:
    """The run that this mail began, if it began one, is for these."""
    values = {
        "installation_id": signal.installation_id,
        "addresses": sorted(set(addresses)),
        "signal_id": signal.id,
    }
    await session.fetch(_COUNT, values)


async def without_capped(
    session: TenantSession, execution_id: UUID, addresses: Collection[str]
) -> tuple[str, ...]:
    """Those of the addresses that the run's answer was counted for. A run of an older version counted nobody."""
    query = select(MailAnswer.address).where(MailAnswer.execution_id == execution_id)
    counted: set[Any] = set(await session.scalars(query))
    return tuple(one for one in addresses if one in counted) if counted else tuple(addresses)
