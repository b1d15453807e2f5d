"""How many answers an address gets: counted for each that an answer would go to, whoever asked for it.

Counted when a run begins, so that mails which come at once do not all slip through. For the day only what left or is on
its way counts, and not what a person approved: it is no machine that talks to a machine there.

Who writes is refused for answers to their own mails alone: what strangers had sent to them, as a copy or by naming them in
Reply-To, ends the answers that strangers ask for.
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
# A run that is there no longer counts as one that answered the address's own mail.
_RECENT = Sql("""
select address, count(*) filter (where in_hour and is_own), count(*) filter (where is_alone and is_own),
    count(*) filter (where in_hour), count(*) filter (where is_alone)
from (
    select a.address, a.created_at > now() - interval '1 hour' as in_hour,
        coalesce(e.input ->> 'person_id' = a.address, true) as is_own,
        case when e.id is null then true when d.id is null then e.state in ('queued', 'running', 'waiting')
            else d.approved_by is null and (d.state in ('requested', 'running', 'succeeded', 'outcome_unknown')
                or coalesce(d.error_code = 'bounced', false)) end as is_alone
    from mail_answers a left join executions e on e.id = a.execution_id left join directives d on d.id = e.directive_id
    where a.installation_id = :installation_id and a.address = any(:addresses)
        and a.created_at > now() - interval '1 day'
) as recent group by address
""")
_COUNT = Sql("""
insert into mail_answers (execution_id, address, installation_id)
select e.id, given.address, :installation_id from executions e, unnest(cast(:addresses as text[])) as given (address)
where e.signal_id = :signal_id on conflict do nothing
""")


@dataclass(frozen=True, slots=True)
class Caps:
    """What these addresses got of late: address -> (in an hour, in a day without a person).

    own: in answer to their own mails. got: those, and what others asked for.
    """

    own: Mapping[str, tuple[int, int]]
    got: Mapping[str, tuple[int, int]]
    per_hour: int

    def reached_by_writing(self, sender: str) -> str | None:
        """Which cap, in a word."""
        return self._reached(*self.own.get(sender, (0, 0)))

    def reached(self, address: str) -> str | None:
        """The same of one whom another names."""
        return self._reached(*self.got.get(address, (0, 0)))

    def _reached(self, in_hour: int, in_day: int) -> str | None:
        if in_hour >= self.per_hour:
            return HOUR
        return DAY if in_day >= self.per_hour * DAY_IS_HOURS else None


async def caps_of(session: TenantSession, installation: Installation, addresses: Collection[str]) -> Caps:
    """Held until the transaction ends: mails that would have the same address answered are judged one after the other."""
    wanted = sorted(set(addresses))
    names = [f"mail:{session.tenant}:{installation.id}:{one}" for one in wanted]
    await session.fetch(_LOCK, {"names": names})
    rows = await session.fetch(_RECENT, {"installation_id": installation.id, "addresses": wanted})
    own = {row[0]: (int(row[1]), int(row[2])) for row in rows}
    got = {row[0]: (int(row[3]), int(row[4])) for row in rows}
    return Caps(own, got, int(installation.config.get("answers_per_sender_per_hour", 6)))


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
