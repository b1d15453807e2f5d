"""Who asked for what: on record step by step, and asked for in vain by whoever may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.accounts import Member, Role
from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import NotFound
from fleetprompt.packages import lifecycle
from fleetprompt.packages.history import audit
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.runtime.people import as_actor
from fleetprompt.runtime.signals import Actor
from tests.connected import OPERATOR, Stage
from tests.house import ACME, GLOBEX
from tests.members import changed, joins
from tests.versions import ended, installed, only, put, told, versions_stage


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        yield opened


async def ask(stage: Stage, by: Member | Actor) -> Asked:
    actor = as_actor(by) if isinstance(by, Member) else by
    return await lifecycle.install(
        stage.house,
        ACME,
        "mattermost@1.0.0",
        config={"server_url": stage.server.url, "team": "engineering"},
        secrets={"bot_token": Secret(stage.bot.token)},
        actor=actor,
    )


async def test_an_admin_who_is_none_any_more_has_asked_in_vain(stage: Stage) -> None:
    ada = await joins(stage.base, "Ada", Role.ADMIN)
    asked = await ask(stage, ada)
    await changed(stage.base, "member", ada.user_id)
    late = await ended(stage, asked)
    assert late.state == "failed"
    assert "admin" in (late.error or "")
    assert (await only(stage))["state"] == "failed"
    await changed(stage.base, "admin", ada.user_id)
    assert (await ended(stage, await ask(stage, ada))).succeeded


@pytest.mark.parametrize("kind", ["agent", "integration"])
async def test_a_program_installs_nothing(stage: Stage, kind: str) -> None:
    late = await ended(stage, await ask(stage, Actor(kind, "x")))
    assert (late.state, (await only(stage))["state"]) == ("failed", "failed")


async def test_the_record_says_who_asked_when_by_which_plan_and_how_it_ended(stage: Stage) -> None:
    ada = await joins(stage.base, "Ada", Role.ADMIN)
    assert (await ended(stage, await ask(stage, ada))).succeeded
    await put(stage, "1.1.0")
    upgraded = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, upgraded)).succeeded
    gone = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, gone)).succeeded
    row = await only(stage)
    async with stage.house.tenancy.session(ACME) as session:
        entries = await audit(session)
        assert entries == await audit(session, "mattermost") == await audit(session, str(row["id"]))
        [one] = await audit(session, str(upgraded.directive_id))
        for unknown in ("matermost", str(stage.base.database.__class__), str(row["id"])[:-4] + "0000"):
            with pytest.raises(NotFound):
                await audit(session, unknown)
    assert [(entry.what, entry.state) for entry in entries] == [
        ("install", "succeeded"),
        ("upgrade", "succeeded"),
        ("uninstall", "succeeded"),
    ]
    assert entries[0].asked_by.startswith("Ada (human user:")
    assert (one.plan["version"], one.plan["to"], one.asked_by) == (
        "1.0.0",
        "1.1.0",
        "tester (human cli:tester)",
    )
    steps = [step.what for step in one.steps]
    assert steps[:3] == ["package.upgrade.requested", "package.upgrade.started", "package.upgrade.completed"]
    assert one.ended_at is not None
    assert stage.bot.token not in repr(entries)
    async with stage.house.tenancy.session(GLOBEX) as session:
        assert await audit(session) == []


async def test_what_waits_is_on_record_without_a_directive(stage: Stage) -> None:
    await lifecycle.install(stage.house, ACME, "mattermost", config={}, secrets={}, actor=OPERATOR)
    async with stage.house.tenancy.session(ACME) as session:
        entries = await audit(session)
    assert [(one.what, one.directive_id) for one in entries] == [
        ("install.requested", None),
        ("install.needs_config", None),
    ]
    assert entries[1].steps[0].detail["missing"] == ["setting:server_url", "secret:bot_token"]


async def test_both_ends_of_a_change_are_shown_and_a_secret_only_as_changed(stage: Stage) -> None:
    await installed(stage)
    given = {"config": {"post_burst": "3", "team": "engineering"}, "secrets": {"bot_token": Secret("hush")}}
    changes = await lifecycle.plan_configure(stage.house, ACME, "mattermost", **given)  # type: ignore[arg-type]
    assert [(one.name, one.old, one.new) for one in changes] == [
        ("post_burst", 20, 3),
        ("bot_token", None, "changed"),
    ]
    before = await told(stage)
    assert (await only(stage))["config"]["post_burst"] == 20
    assert before[-1] == "install.completed"
