"""A job that runs on a person's behalf: as long as they are an active member of its very tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.accounts import Role
from fleetprompt.kernel.ids import JobId, new_id
from fleetprompt.runtime.jobs import NewJob, Work
from fleetprompt.runtime.jobs.letters import retry_job
from fleetprompt.runtime.register import _death_kind
from fleetprompt.runtime.registry import JobKind, Registry
from tests.directives import run_once, run_out
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import KINDS, add, all_done, mark, marks, prepare, until, working
from tests.members import changed, joins


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


@pytest.fixture
def registry() -> Registry:
    """The kind `mark`, and the real notice of a death."""

    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        async with work.finish() as session:
            await mark(session, work, f"died: {error}")

    made = Registry()
    made.add_signal("job.died", "A job was given up.")
    made.add_job(JobKind("mark", KINDS["mark"], died))
    made.add_job(_death_kind(made))
    return made


async def for_user(house: House, user_id: Any) -> JobId:
    [job_id] = await add(house, NewJob("mark", {"user_id": user_id, "note": "ran"}))
    return job_id


async def the_letter(house: House, job_id: JobId) -> tuple[str, int, str]:
    [row] = await house.rows("select state, attempt, last_error from public.job where id = $1", job_id)
    return row["state"], row["attempt"], row["last_error"]


async def test_it_runs_for_an_active_member(house: House, registry: Registry) -> None:
    ada = await joins(house, "Ada")
    await for_user(house, str(ada.user_id))
    assert await run_out(house, registry) == ["finished"]
    assert await marks(house) == ["ran"]


async def stranger(house: House) -> object:
    return str(new_id())


async def member_elsewhere(house: House) -> object:
    return str((await joins(house, "Ada", Role.OWNER, GLOBEX)).user_id)


async def suspended(house: House) -> object:
    ada = await joins(house, "Ada")
    await changed(house, "suspend", ada.user_id)
    return str(ada.user_id)


async def removed(house: House) -> object:
    ada = await joins(house, "Ada")
    await changed(house, "remove", ada.user_id)
    return str(ada.user_id)


async def no_id(house: House) -> object:
    return "ada"


async def nothing(house: House) -> object:
    return None


@pytest.mark.parametrize(
    ("whose", "why"),
    [
        (stranger, "no member of acme"),
        (member_elsewhere, "no member of acme"),
        (suspended, "Ada is suspended in acme"),
        (removed, "no member of acme"),
        (no_id, "something that is no id"),
        (nothing, "something that is no id"),
    ],
)
async def test_for_anybody_else_it_is_a_dead_letter_at_once_and_nothing_of_it_has_run(
    house: House, registry: Registry, whose: Any, why: str
) -> None:
    job_id = await for_user(house, await whose(house))
    assert await run_once(house, registry) == "dead"
    state, attempt, error = await the_letter(house, job_id)
    assert (state, attempt, why in error) == ("dead", 1, True), error
    assert await marks(house) == []


async def test_who_waits_for_it_is_told(house: House, registry: Registry) -> None:
    job_id = await for_user(house, await suspended(house))
    assert await run_out(house, registry) == ["dead", "finished"]
    [note] = await marks(house)
    assert note.startswith("died: Ada is suspended in acme.")
    [told] = await house.tenant_rows(ACME, "select payload->>'job_id' from signals where name = 'job.died'")
    assert told[0] == str(job_id)
    assert await house.tenant_rows(GLOBEX, "select 1 from signals where name = 'job.died'") == []


async def test_a_dead_letter_can_be_retried_when_the_person_is_back(house: House, registry: Registry) -> None:
    user_id = str(await suspended(house))
    job_id = await for_user(house, user_id)
    await run_out(house, registry)
    await changed(house, "restore", UUID(user_id))
    await retry_job(house.database, ACME, job_id)
    assert await run_out(house, registry) == ["finished"]
    assert (await marks(house))[-1] == "ran"


async def test_a_worker_does_so_too(house: House, registry: Registry) -> None:
    refused, ada = await suspended(house), await joins(house, "Eve")
    for user_id in (refused, str(ada.user_id)):
        await for_user(house, user_id)
    async with working(house, registry):
        await until(lambda: all_done(house))
    assert [note for note in await marks(house) if not note.startswith("died: Ada")] == ["ran"]
    assert await house.value("select count(*) from public.job where state = 'dead'") == 1
