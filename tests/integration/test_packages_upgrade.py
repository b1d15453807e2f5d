"""Another version: what it may do more, what becomes of the settings, and always one of the two in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from fleetprompt.cli.asking import record
from fleetprompt.cli.package_plans import plan_of
from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.packages import lifecycle, withdrawing
from fleetprompt.packages.inline import Ended
from fleetprompt.runtime.directives import decide
from tests.connected import OPERATOR, Stage, listening, until
from tests.house import ACME
from tests.versions import MORE, VALUES, ended, installed, migrating, only, put, told, versions_stage


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        await installed(opened)
        yield opened


async def upgrade(stage: Stage, package: str = "mattermost", **more: Any) -> Ended:
    return await ended(stage, await lifecycle.upgrade(stage.house, ACME, package, actor=OPERATOR, **more))


async def rollback(stage: Stage) -> Ended:
    return await ended(stage, await lifecycle.rollback(stage.house, ACME, "mattermost", actor=OPERATOR))


async def test_a_version_that_may_do_no_more_takes_over_and_the_former_can_come_back(stage: Stage) -> None:
    before = await only(stage)
    await put(stage, "1.1.0", **migrating([{"op": "map", "key": "team", "values": {"engineering": ""}}]))
    assert (await upgrade(stage)).succeeded
    row = await only(stage)
    assert (row["version"], row["config_version"], row["state"]) == ("1.1.0", 2, "installed")
    assert (row["config"]["team"], row["generation"]) == ("", before["generation"] + 1)
    assert (await told(stage))[-3:] == ["upgrade.requested", "upgrade.started", "upgrade.completed"]
    with pytest.raises(Conflict, match="is installed here already"):
        await upgrade(stage)
    assert (await rollback(stage)).succeeded
    row = await only(stage)
    assert (row["version"], row["config_version"], row["package_digest"]) == (
        "1.0.0",
        1,
        before["package_digest"],
    )
    assert row["config"] == before["config"]
    with pytest.raises(Conflict, match="no former version"):
        await rollback(stage)
    kept = "select version, left_by, left_for from installation_versions order by number"
    rows = [tuple(one) for one in await stage.base.tenant_rows(ACME, kept)]
    assert rows == [("1.0.0", "upgrade", "1.1.0"), ("1.1.0", "rollback", "1.0.0")]


async def test_a_version_that_may_do_more_waits_for_consent_while_the_one_there_runs(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    planned = await lifecycle.plan_upgrade(stage.house, ACME, "mattermost")
    assert planned.wider == ["mattermost.files:read"]
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    state = "select state, approval_reason from directives where id = $1"
    [row] = await stage.base.tenant_rows(ACME, state, asked.directive_id)
    assert row["state"] == "awaiting_approval"
    assert "may do more: mattermost.files:read" in row["approval_reason"]
    assert ((await only(stage))["version"], (await only(stage))["state"]) == ("1.0.0", "installed")
    async with stage.house.tenancy.session(ACME) as session:
        await decide.approve(session, stage.house.registry, asked.directive_id, OPERATOR)
    assert (await ended(stage, asked)).succeeded
    assert (await only(stage))["version"] == "1.1.0"
    granted = await stage.base.tenant_rows(ACME, "select scope from grants")
    assert "mattermost.files:read" in [one["scope"] for one in granted]


async def test_who_was_shown_the_plan_consents_by_asking(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    assert (await upgrade(stage, consent=True)).succeeded


async def test_who_consents_is_not_answered_with_what_waits_for_consent(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    waiting = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    again = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert again.directive_id == waiting.directive_id
    assert (await upgrade(stage, consent=True)).succeeded
    async with stage.house.tenancy.session(ACME) as session:
        await decide.approve(session, stage.house.registry, waiting.directive_id, OPERATOR)
    assert (await ended(stage, waiting)).succeeded  # since it is so
    assert (await told(stage)).count("upgrade.completed") == 1


async def test_the_command_line_shows_the_plan_and_waits_for_consent(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the options: a process of its own would not trust the test's key."""
    steps = [{"op": "map", "key": "team", "values": {"engineering": ""}}]
    await put(stage, "1.1.0", **migrating(steps), permissions=[*VALUES["permissions"][:3], MORE])
    given: dict[str, Any] = {"config": {"post_burst": "3"}, "secrets": {}, "grants": (), "consent": False}
    plan = await plan_of(stage.house, ACME, "upgrade", "mattermost", "", given)
    assert plan is not None
    capsys.readouterr()
    plan.say()
    assert capsys.readouterr().out.splitlines() == [
        "  + may mattermost.files:read: Files are read.",
        "  - may no longer mattermost.channels:read",
        "  post_burst: 20 -> 3",
        "  team: engineering -> ",
    ]
    assert plan.receipt()["to"] == "1.1.0"
    house: Any = SimpleNamespace(services=SimpleNamespace(packages=stage.house), tenancy=stage.house.tenancy)
    asked, end = await record(house, ACME, "upgrade", "mattermost", "", given)
    assert (end.state, f"directives approve {asked.directive_id} --org acme" in (end.error or "")) == (
        "awaiting_approval",
        True,
    )
    asked, end = await record(house, ACME, "upgrade", "mattermost", "", {**given, "consent": True})
    assert end.succeeded


async def test_what_is_rejected_leaves_no_trace_but_its_record(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    before = await only(stage)
    other = stage.server.create_user("other", is_bot=True)
    secrets = {"bot_token": Secret(other.token)}
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR, secrets=secrets)
    async with stage.house.tenancy.session(ACME) as session:
        await decide.reject(session, stage.house.registry, asked.directive_id, OPERATOR, "No.")
    assert await only(stage) == before
    assert len(await stage.base.tenant_rows(ACME, "select 1 from credentials")) == 1
    assert (await told(stage))[-1] == "upgrade.failed"


async def test_consent_is_for_what_was_shown(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    changed = await lifecycle.configure(
        stage.house, ACME, "mattermost", config={"post_burst": "3"}, secrets={}, actor=OPERATOR
    )
    assert (await ended(stage, changed)).succeeded
    async with stage.house.tenancy.session(ACME) as session:
        await decide.approve(session, stage.house.registry, asked.directive_id, OPERATOR)
    late = await ended(stage, asked)
    assert (late.state, late.error_code) == ("failed", "conflict")
    assert ((await only(stage))["version"], (await only(stage))["state"]) == ("1.0.0", "installed")


async def test_fewer_scopes_need_nobody(stage: Stage) -> None:
    await put(stage, "1.1.0", permissions=VALUES["permissions"][:2])
    assert (await lifecycle.plan_upgrade(stage.house, ACME, "mattermost")).wider == []
    assert (await upgrade(stage)).succeeded
    scopes = await stage.base.tenant_rows(ACME, "select scope from grants order by scope")
    assert [one["scope"] for one in scopes] == ["mattermost.posts:read", "mattermost.posts:write"]


async def test_what_the_far_side_refuses_leaves_the_version_there_in_force(stage: Stage) -> None:
    steps = [{"op": "map", "key": "team", "values": {"engineering": "elsewhere"}}]
    await put(stage, "1.1.0", **migrating(steps))
    before = await only(stage)
    async with listening(stage):
        connected = "select 1 from installation_health where state = 'connected'"
        await until(lambda: stage.base.tenant_rows(ACME, connected))
        failed = await upgrade(stage)
        assert (failed.state, failed.error_code) == ("failed", "config")
        stage.server.post(stage.dana, stage.support, "@fleet still there?")
        heard = "select 1 from signals where name = 'chat.message.received'"
        await until(lambda: stage.base.tenant_rows(ACME, heard))
    after = await only(stage)
    assert {**after, "error": None, "error_code": None, "updated_at": None} == {**before, "updated_at": None}
    assert "team" in after["error"]
    assert (await told(stage))[-1] == "upgrade.failed"


async def test_a_version_with_another_setting_says_what_it_needs(stage: Stage) -> None:
    config = json.loads(json.dumps(VALUES["config"]))
    config["schema"]["required"].append("team")
    config["schema"]["properties"]["team"].pop("default")
    await put(stage, "1.1.0", config=config)
    assert (await upgrade(stage)).succeeded  # it is set
    with pytest.raises(InvalidInput, match="post_burst"):
        await upgrade(stage, "mattermost@1.0.0", config={"post_burst": "none"})


async def test_what_rests_stays_at_rest(stage: Stage) -> None:
    await put(stage, "1.1.0")
    asked = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    assert (await upgrade(stage)).succeeded
    assert ((await only(stage))["version"], (await only(stage))["state"]) == ("1.1.0", "disabled")
    assert await stage.base.value("select enabled from public.connections") is False


async def test_a_target_that_is_revoked_before_it_is_tried_is_not_taken(stage: Stage) -> None:
    await put(stage, "1.1.0")
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    await withdrawing.revoke(stage.base.database, "mattermost", "1.1.0", "It leaks.")
    late = await ended(stage, asked)
    assert (late.state, late.error_code) == ("failed", "conflict")
    assert ((await only(stage))["version"], (await only(stage))["state"]) == ("1.0.0", "installed")


async def test_two_admins_who_upgrade_at_once_upgrade_once(stage: Stage) -> None:
    await put(stage, "1.1.0")
    asking = (lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR) for _ in range(2))
    first, second = await asyncio.gather(*asking)
    assert first.directive_id == second.directive_id
    assert (await ended(stage, first)).succeeded
    assert (await told(stage)).count("upgrade.completed") == 1


async def test_a_later_version_comes_after_the_one_between(stage: Stage) -> None:
    """Each migration on the way is applied; going back goes one step."""
    await put(stage, "1.1.0", **migrating([{"op": "map", "key": "team", "values": {"engineering": ""}}]))
    assert (await upgrade(stage, "mattermost@1.1.0")).succeeded
    with pytest.raises(Conflict, match="older settings"):
        await upgrade(stage, "mattermost@1.0.0")
    await put(stage, "1.2.0", **migrating([{"op": "map", "key": "team", "values": {"engineering": ""}}]))
    assert (await upgrade(stage)).succeeded
    assert (await rollback(stage)).succeeded
    assert (await only(stage))["version"] == "1.1.0"
    assert (await rollback(stage)).succeeded
    assert (await only(stage))["version"] == "1.0.0"
