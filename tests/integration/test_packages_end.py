"""How an installation ends: removed with all that was its own, stopped when its version is revoked, purged in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.doctor.finding import Level
from fleetprompt.doctor.work import judge_installation
from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import Installation
from fleetprompt.packages import lifecycle, look, purging, withdrawing
from fleetprompt.packages.publishing import publish
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.tenancy import Fence
from tests.connected import OPERATOR, Stage, listening, until, working
from tests.dying import Killed, dying_at
from tests.house import ACME
from tests.manifests import release
from tests.versions import ended, installed, only, put, told, versions_stage

RECORDS = {"signals", "directives"}
TALK = {"conversations", "messages"}


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        await installed(opened)
        yield opened


async def uninstall(stage: Stage) -> Any:
    asked = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    return await ended(stage, asked)


async def tables_with(stage: Stage, installation_id: UUID) -> set[str]:
    """Every table of the tenant in which a row bears the installation."""
    rows = await stage.base.rows(
        "select c.relname as table_name from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " where c.relnamespace = 'org_acme'::regnamespace and c.relkind = 'r' and a.attname = 'installation_id'"
    )
    found = set()
    for row in rows:
        query = f"select 1 from {row['table_name']} where installation_id = $1 limit 1"
        if await stage.base.tenant_rows(ACME, query, installation_id):
            found.add(row["table_name"])
    return found


async def heard(stage: Stage) -> None:
    async with listening(stage):
        stage.server.post(stage.dana, stage.support, "@fleet hello")
        await until(lambda: stage.base.tenant_rows(ACME, "select 1 from messages"))


async def test_nothing_of_it_is_left_but_its_record_and_in_time_what_was_said(stage: Stage) -> None:
    await heard(stage)
    await put(stage, "1.1.0")
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    before = await only(stage)
    assert {
        "credentials",
        "grants",
        "installation_health",
        "installation_cursors",
        "installation_versions",
    } <= (await tables_with(stage, before["id"]))
    assert (await uninstall(stage)).succeeded
    row = await only(stage)
    assert (row["state"], row["generation"]) == ("uninstalled", before["generation"] + 1)
    assert await tables_with(stage, row["id"]) == RECORDS | TALK
    assert await stage.base.rows("select 1 from public.connections") == []
    assert (await told(stage))[-2:] == ["uninstall.started", "uninstalled"]
    await purge(stage)
    row = await only(stage)
    assert (row["purged_at"] is None, row["config"] == {}) == (True, False)  # its time has not come
    await stage.base.tenant_rows(ACME, "update installations set purge_at = now() - interval '1 s'")
    await purge(stage)
    row = await only(stage)
    assert (row["purged_at"] is None, row["config"], row["account"]) == (False, {}, "{}")
    assert await tables_with(stage, row["id"]) == RECORDS
    assert (await told(stage))[-1] == "purged"


async def test_a_purge_that_dies_is_finished_by_the_next(stage: Stage) -> None:
    await heard(stage)
    assert (await uninstall(stage)).succeeded
    await stage.base.tenant_rows(ACME, "update installations set purge_at = now() - interval '1 s'")
    work = Work(stage.base.tenancy, ACME, purging.NAME, {}, await a_fence(stage), 8)
    with dying_at("package.purging"), pytest.raises(Killed):
        await stage.house.registry.jobs[purging.NAME].run(work)
    row = await only(stage)
    assert await tables_with(stage, row["id"]) == RECORDS | {"conversations"}
    await stage.house.registry.jobs[purging.NAME].run(work)
    assert await tables_with(stage, row["id"]) == RECORDS


async def a_fence(stage: Stage) -> Fence:
    """Of a job that this process has claimed."""
    job_id = await stage.base.value(
        "insert into public.job (id, tenant, kind, args, state, worker, attempt) values"
        f" (gen_random_uuid(), 'acme', '{purging.NAME}', '{{}}', 'running', 'w', 1) returning id"
    )
    return Fence(job_id, 1, "w")


async def purge(stage: Stage) -> None:
    async with stage.house.tenancy.session(ACME) as session:
        await enqueue(session, NewJob(purging.NAME, {}))
    gone = f"select 1 where not exists (select from public.job where kind = '{purging.NAME}')"
    async with working(stage.house):
        await until(lambda: stage.base.rows(gone))


async def test_what_has_not_begun_is_canceled_and_what_runs_may_end(stage: Stage) -> None:
    installation = await only(stage)
    async with stage.house.tenancy.session(ACME) as session:
        row = await session.get(Installation, installation["id"])
    assert row is not None
    waiting, running = await stage.post(row, "later"), await stage.post(row, "now")
    await move(stage, running, "running")
    asked = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    ending = asyncio.create_task(ended(stage, asked))
    drains = "select 1 from installations where state = 'uninstalling'"
    await until(lambda: stage.base.tenant_rows(ACME, drains))
    assert len(await stage.base.tenant_rows(ACME, "select 1 from credentials")) == 1
    assert not ending.done()
    await move(stage, running, "succeeded")
    assert (await ending).succeeded
    state = "select state, error_code from directives where id = $1"
    [directive] = await stage.base.tenant_rows(ACME, state, waiting)
    assert tuple(directive) == ("canceled", "uninstalled")
    assert stage.bot_posts() == []


async def move(stage: Stage, directive_id: UUID, state: str) -> None:
    """As a worker that carries it out would."""
    await stage.base.tenant_rows(ACME, "update directives set state = $2 where id = $1", directive_id, state)


async def test_what_another_one_needs_stays(stage: Stage) -> None:
    needs = {"mattermost": "^1.0.0"}
    await publish(stage.base.database, release("greeter", needs=needs))
    early = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    asked = await lifecycle.install(stage.house, ACME, "greeter", config={}, secrets={}, actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    late = await ended(stage, early)  # asked for before it was needed
    assert (late.state, late.error_code) == ("failed", "conflict")
    with pytest.raises(Conflict, match=r"mattermost is needed by greeter.*package uninstall greeter"):
        await uninstall(stage)
    asked = await lifecycle.uninstall(stage.house, ACME, "greeter", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    assert (await uninstall(stage)).succeeded


async def test_it_can_be_installed_again(stage: Stage) -> None:
    assert (await uninstall(stage)).succeeded
    await installed(stage)
    rows = await stage.base.tenant_rows(ACME, "select state from installations order by id")
    assert [row["state"] for row in rows] == ["uninstalled", "installed"]


async def test_a_revoked_version_stops_where_it_runs_until_it_is_upgraded(stage: Stage) -> None:
    async with listening(stage), working(stage.house):
        connected = "select 1 from installation_health where state = 'connected'"
        await until(lambda: stage.base.tenant_rows(ACME, connected))
        await withdrawing.revoke(stage.base.database, "mattermost", "1.0.0", "It leaks.")
        stopped = "select 1 from installations where state = 'disabled' and blocked = 'It leaks'"
        await until(lambda: stage.base.tenant_rows(ACME, stopped))
        assert await stage.base.value("select enabled from public.connections") is False
        assert (await told(stage))[-1] == "blocked"
        [status] = await look.status(stage.house, ACME)
        assert (status.state, status.blocked) == ("disabled", "It leaks")
        assert "package upgrade mattermost" in (status.remedy or "")
        finding = judge_installation(status, ACME)
        assert (finding.level, "revoked: It leaks" in finding.detail) == (Level.FAIL, True)
        with pytest.raises(Conflict, match=r"is revoked: It leaks\. Upgrade it"):
            await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR)
        await put(stage, "1.1.0")
        asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
        assert (await ended(stage, asked)).succeeded
        row = await only(stage)
        assert (row["state"], row["version"], row["blocked"], row["error"]) == (
            "installed",
            "1.1.0",
            None,
            None,
        )
        await until(lambda: stage.base.tenant_rows(ACME, connected))


async def test_what_was_disabled_by_a_person_is_not_touched_by_a_revocation(stage: Stage) -> None:
    asked = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    async with working(stage.house):
        await withdrawing.revoke(stage.base.database, "mattermost", "1.0.0", "It leaks.")
        none = "select 1 where not exists (select from public.job where kind = 'package.block_revoked')"
        await until(lambda: stage.base.rows(none))
    row = await only(stage)
    assert (row["state"], row["blocked"]) == ("disabled", None)
