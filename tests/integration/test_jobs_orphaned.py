"""How long an orphan waits: innocent work goes on within ten seconds, what kills its workers ever later."""

from __future__ import annotations

import pytest

from fleetprompt.runtime.jobs import NewJob, claim
from tests.house import fresh_house
from tests.jobs import add

ORPHANED = "update public.job set state = 'running', attempt = $1, worker = 'gone', lease_until = now() - interval '1 s'"
WAITS = "select extract(epoch from scheduled_at - now())::int from public.job"


@pytest.mark.parametrize(("attempt", "waits_s"), [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (7, 16)])
async def test_an_orphan_waits_longer_each_time_from_the_third_on(attempt: int, waits_s: int) -> None:
    """A lease and a look of the reaper take eight seconds, so a process killed three times leaves two for this."""
    async with fresh_house() as house:
        await add(house, NewJob("mark", {}))
        await house.rows(ORPHANED, attempt)
        assert await claim.reap(house.database) == 1
        assert abs(await house.value(WAITS) - waits_s) <= (1 if waits_s else 0)
