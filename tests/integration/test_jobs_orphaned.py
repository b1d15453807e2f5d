"""How long an orphan waits: innocent work goes on within ten seconds, what kills its workers ever later."""

from __future__ import annotations

import pytest

from fleetprompt.runtime.jobs import NewJob, claim
from tests.house import fresh_house
from tests.jobs import add

ORPHANED = """
update public.job set state = 'running', attempt = $1, worker = 'gone', lease_until = now() - interval '1 s',
    scheduled_at = now() - interval '1 min'
"""
WAITS = "select extract(epoch from scheduled_at - now())::int from public.job"


@pytest.mark.parametrize(("attempt", "waits_s"), [(1, -60), (2, -60), (3, 1), (4, 2), (5, 4), (7, 16)])
async def test_an_orphan_keeps_its_place_and_waits_from_the_third_time_on(attempt: int, waits_s: int) -> None:
    """A lease and a look of the reaper take eight seconds, so a process killed three times leaves two for this."""
    async with fresh_house() as house:
        await add(house, NewJob("mark", {}))
        await house.rows(ORPHANED, attempt)
        assert await claim.reap(house.database) == 1
        assert abs(await house.value(WAITS) - waits_s) <= 2
