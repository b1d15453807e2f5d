"""The starter agent from its install to its last row: it answers in Mattermost, sorts, and is granted what it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.packages import lifecycle, look
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.runtime.agents.manage import create_agent
from tests.connected import OPERATOR, Stage, connected_house, listening, until, working
from tests.house import ACME

SCOPE = "orders:read"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        secrets = {"bot_token": Secret(opened.bot.token)}
        settings = {"server_url": opened.server.url, "team": "engineering"}
        asked = await lifecycle.install(
            opened.house, ACME, "mattermost", config=settings, secrets=secrets, actor=OPERATOR
        )
        assert (await run_now(opened.house, ACME, asked.directive_id, 20)).succeeded
        yield opened


async def install(stage: Stage, **more: Any) -> Ended:
    config = more.pop("config", {})
    asked = await lifecycle.install(
        stage.house, ACME, "starter-agent", config=config, secrets={}, actor=OPERATOR, **more
    )
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def change(stage: Stage, verb: Any, package: str = "starter-agent", **more: Any) -> Ended:
    asked = await verb(stage.house, ACME, package, actor=OPERATOR, **more)
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def granted(stage: Stage) -> list[str]:
    rows = await stage.base.tenant_rows(
        ACME,
        "select g.scope from grants g join installations i on i.id = g.installation_id"
        " where i.package = 'starter-agent' order by g.scope",
    )
    return [row["scope"] for row in rows]


async def test_it_is_installed_answers_and_sorts(stage: Stage) -> None:
    ended = await install(stage)
    assert ended.succeeded, ended.error
    assert (ended.receipt["agents"], ended.receipt["workflows"]) == (["starter"], ["sort-support"])
    [status] = await look.status(stage.house, ACME, "starter-agent")
    assert (status.state, status.grants, status.listens) == (
        "installed",
        ["conversations.messages:read"],
        False,
    )
    lines = await look.check_installation(stage.house, ACME, "starter-agent")
    assert [(line.name, line.ok) for line in lines] == [
        ("agent starter", True),
        ("workflow sort-support", True),
    ]
    async with working(stage.house), listening(stage):
        await until(lambda: _listens(stage))
        stage.server.post(stage.dana, stage.support, "@fleet starter hello, who are you?")
        await until(lambda: _answers(stage, 1), 40)
        stage.server.post(stage.dana, stage.support, "My parcel is broken, please call me today.")
        run = await until(lambda: _run(stage), 40)
    assert run["state"] == "succeeded"
    [status] = await look.status(stage.house, ACME, "starter-agent")
    assert [(one.title, one.count) for one in status.value] == [("A request was answered.", 2)]
    rows = await stage.base.tenant_rows(
        ACME, "select payload from signals where name = 'tenant.request.sorted'"
    )
    assert len(rows) == 1


async def _listens(stage: Stage) -> bool:
    [status] = await look.status(stage.house, ACME, "mattermost")
    return status.connection == "connected"


async def _answers(stage: Stage, count: int) -> bool:
    return len(stage.bot_posts()) >= count


async def _run(stage: Stage) -> Any:
    rows = await stage.base.tenant_rows(
        ACME, "select * from workflow_runs where state in ('succeeded', 'failed')"
    )
    return rows[0] if rows else None


async def test_its_agent_is_called_as_its_settings_say_and_a_taken_name_is_refused_at_once(
    stage: Stage,
) -> None:
    async with stage.house.tenancy.session(ACME) as session:
        await create_agent(session, stage.house.registry, "starter", OPERATOR)
    with pytest.raises(Conflict, match=r"agent 'starter' already"):
        await install(stage)
    assert await look.status(stage.house, ACME, "starter-agent") == []
    ended = await install(stage, config={"agent_name": "helper"})
    assert ended.receipt["agents"] == ["helper"]
    renamed = await change(stage, lifecycle.configure, config={"agent_name": "aide"}, secrets={})
    assert renamed.receipt["agents"] == ["aide"]
    rows = await stage.base.tenant_rows(ACME, "select name from agents where installation_id is not null")
    assert [row["name"] for row in rows] == ["aide"]
    with pytest.raises(InvalidInput, match="no setting 'agentname'"):
        await change(stage, lifecycle.configure, config={"agentname": "x"}, secrets={})


async def test_optional_scopes_are_granted_by_name_and_taken_back(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="does not ask for 'orders:write'"):
        await install(stage, grants=["orders:write"])
    await install(stage, grants=[SCOPE])
    assert await granted(stage) == ["conversations.messages:read", SCOPE]
    assert (await change(stage, lifecycle.configure, config={}, secrets={}, revoked=[SCOPE])).succeeded
    assert await granted(stage) == ["conversations.messages:read"]
    assert (await change(stage, lifecycle.configure, config={}, secrets={}, grants=[SCOPE])).succeeded
    assert SCOPE in await granted(stage)
    with pytest.raises(InvalidInput, match=r"cannot do without conversations\.messages:read"):
        await change(
            stage, lifecycle.configure, config={}, secrets={}, revoked=["conversations.messages:read"]
        )


async def test_what_it_needs_cannot_go_before_it_and_it_goes_without_a_trace(stage: Stage) -> None:
    ended = await install(stage, grants=[SCOPE])
    of = ended.receipt["installation_id"]
    with pytest.raises(Conflict, match="starter-agent"):
        await change(stage, lifecycle.uninstall, "mattermost")
    gone = await change(stage, lifecycle.uninstall)
    assert sorted(gone.receipt["removed"]) == ["agent starter", "workflow sort-support"]
    for table in ("agents", "workflows", "grants", "credentials", "installation_health"):
        rows = await stage.base.tenant_rows(
            ACME, f"select 1 from {table} where installation_id = $1", UUID(of)
        )
        assert rows == [], table
    assert (await change(stage, lifecycle.uninstall, "mattermost")).succeeded


async def test_webhook_is_not_installable_yet(stage: Stage) -> None:
    with pytest.raises(Conflict, match=r"webhook 0\.1\.0 is not installable yet.*connector 'webhook'"):
        await lifecycle.install(stage.house, ACME, "webhook", config={}, secrets={}, actor=OPERATOR)
