"""A suspended organization: what comes in is kept, nothing of it is worked on, and others do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model.states import fault_point
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.tenancy.organizations import advance_schema, find_organization
from fleetprompt.tenancy.suspension import resume, suspend
from tests import tenant_programs
from tests.house import ACME, GLOBEX, House, bare_house, fresh_house
from tests.jobs import add, all_done, marks, prepare, until, working
from tests.killing import dies
from tests.stage import stage

SLOW_POLL_S = 20.0


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def test_a_suspended_tenants_jobs_wait_and_anothers_run(house: House) -> None:
    await suspend(house.database, ACME)
    await add(house, NewJob("mark", {"note": "waits"}))
    await add(house, NewJob("mark", {"note": "runs"}), tenant=GLOBEX)
    async with working(house):
        await until(lambda: marks(house, tenant=GLOBEX))
        await asyncio.sleep(0.5)  # several polls
        assert await marks(house) == []


async def test_what_waited_runs_at_once_after_the_resumption_not_at_the_next_poll(house: House) -> None:
    await suspend(house.database, ACME)
    await add(house, NewJob("mark", {"note": "waited"}))
    async with working(house, poll_every_s=SLOW_POLL_S):
        await until(lambda: house.value("select bool_and(idle) from public.worker"))
        await resume(house.database, ACME)
        assert await until(lambda: all_done(house)) < SLOW_POLL_S / 2
    assert await marks(house) == ["waited"]


async def test_what_a_broker_carries_of_a_suspended_tenant_is_not_begun(house: House) -> None:
    [job] = await add(house, NewJob("mark", {"note": "carried"}))
    await suspend(house.database, ACME)
    assert await claim.claim_one(house.database, "w", job, 0, 30.0) is None
    by_operator = await claim.claim_one(house.database, "w", job, 0, 30.0, at_rest_too=True)
    assert by_operator is not None


async def test_a_message_to_a_suspended_tenant_is_recorded_and_answered_later_once() -> None:
    async with stage(model="builtin") as actors:
        database = actors.house.database
        await suspend(database, ACME)
        await actors.says("help")
        await asyncio.sleep(0.6)
        recorded = await actors.house.tenant_rows(ACME, "select name from signals")
        assert [row["name"] for row in recorded].count("chat.message.received") == 1
        assert actors.chat.entries == []
        await resume(database, ACME)
        assert len(await actors.chat.wait_for(1)) == 1
        await until(lambda: all_done(actors.house))
        assert len(actors.chat.entries) == 1


async def test_suspending_and_resuming_twice_is_once(house: House) -> None:
    for _ in range(2):
        assert (await suspend(house.database, ACME)).state == "suspended"
    for _ in range(2):
        assert (await resume(house.database, ACME)).state == "active"


async def test_a_suspended_tenant_is_migrated_and_stays_suspended(house: House) -> None:
    await suspend(house.database, ACME)
    await house.rows("update public.organizations set schema_error = 'it was away' where slug = 'acme'")
    assert await advance_schema(house.database, ACME)
    found = await find_organization(house.database, ACME)
    assert (found.state, found.schema_error) == ("suspended", None)


async def test_an_unfinished_organization_cannot_be_suspended() -> None:
    async with bare_house() as house:
        await house.rows(
            "insert into public.organizations (id, slug, name, limits, state)"
            " values (gen_random_uuid(), 'half', 'half', '{}', 'creating')"
        )
        half = TenantSlug("half")
        with pytest.raises(Conflict, match="cannot become suspended"):
            await suspend(house.database, half)
        with pytest.raises(Conflict, match="fleetprompt org create half"):
            await resume(house.database, half)


async def test_killed_while_suspending_it_is_suspended_or_it_is_not(house: House) -> None:
    for committed, state in ((False, "active"), (True, "suspended")):
        point = fault_point("organization", "active", "suspended", committed=committed)
        await dies(tenant_programs.suspend, house.url, ACME, fault=point)
        assert (await find_organization(house.database, ACME)).state == state
