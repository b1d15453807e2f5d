"""Two who change one installation at once, and what comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages import dependents, find, grants, lifecycle, planning
from fleetprompt.packages import installing as asking_install
from fleetprompt.packages.installers import Probe
from fleetprompt.packages.publishing import publish
from fleetprompt.packages.revoking import revoke_secret
from fleetprompt.packages.steps import Disable
from fleetprompt.packages.steps import install as installing
from fleetprompt.packages.steps import uninstall as uninstalling
from fleetprompt.runtime.directives import decide
from tests.connected import OPERATOR, Stage
from tests.house import ACME
from tests.manifests import release
from tests.provided import LOOK
from tests.versions import MORE, VALUES, ended, installed, only, put, versions_stage


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        yield opened


def while_tried(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[Any]]
) -> list[Any]:
    """The first time that the far side is tried, this happens meanwhile; what came of it is in the answer."""
    known, came = stage.house.installers.by_package, list[Any]()
    installer = known["mattermost"]

    async def probe(config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Probe:
        found = await installer.probe(config, secrets)
        if not came:
            came.append(None)
            try:
                came[0] = await happens()
            except Conflict as error:
                came[0] = error
        return found

    monkeypatch.setitem(known, "mattermost", replace(installer, probe=probe))
    return came


async def test_an_upgrade_that_is_rejected_does_not_end_another_that_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installed(stage)
    await put(stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    waiting = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    goes = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR, consent=True)

    async def reject() -> str:
        async with stage.house.tenancy.session(ACME) as session:
            await decide.reject(session, stage.house.registry, waiting.directive_id, OPERATOR, "No.")
        return str((await only(stage))["state"])

    came = while_tried(stage, monkeypatch, reject)
    assert (await ended(stage, goes)).succeeded
    assert came == ["upgrading"]
    assert ((await only(stage))["version"], (await only(stage))["state"]) == ("1.1.0", "installed")


async def test_two_ask_to_remove_it_before_and_after_a_change(stage: Stage) -> None:
    await installed(stage)
    rests = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    first = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, rests)).succeeded
    second = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, first)).succeeded
    assert (await only(stage))["state"] == "uninstalled"
    assert (await ended(stage, second)).state in ("canceled", "succeeded")
    assert await stage.base.tenant_rows(ACME, "select 1 from credentials") == []


async def test_a_credential_is_not_taken_from_what_is_just_installed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def revoke() -> Any:
        row = await only(stage)
        return await revoke_secret(stage.house, ACME, row["id"], "bot_token", OPERATOR)

    came = while_tried(stage, monkeypatch, revoke)
    await installed(stage)
    assert isinstance(came[0], Conflict)
    assert len(await stage.base.tenant_rows(ACME, "select 1 from credentials")) == 1


async def test_what_wakes_does_not_wake_without_the_credential_taken_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installed(stage)
    rests = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, rests)).succeeded
    row = await only(stage)
    while_tried(
        stage,
        monkeypatch,
        lambda: revoke_secret(stage.house, ACME, row["id"], "bot_token", OPERATOR),
    )
    wakes = await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert not (await ended(stage, wakes)).succeeded
    assert (await only(stage))["state"] == "disabled"


async def test_a_change_with_a_secret_that_is_tried_again_does_not_pass_without_it(stage: Stage) -> None:
    await installed(stage)
    changed = await lifecycle.configure(
        stage.house,
        ACME,
        "mattermost",
        config={"post_burst": "3"},
        secrets={"bot_token": Secret("no such token anywhere")},
        actor=OPERATOR,
    )
    assert not (await ended(stage, changed)).succeeded
    async with stage.house.tenancy.session(ACME) as session:
        await decide.retry(session, stage.house.registry, changed.directive_id, OPERATOR)
    again = await asyncio.wait_for(ended(stage, changed), 30)
    assert (again.state, again.error_code) == ("failed", "conflict")


async def needing(stage: Stage) -> Any:
    """Installs a package that works with the first version alone, and fails if it does not become so."""
    asked = await lifecycle.install(stage.house, ACME, "greeter", config={}, secrets={}, actor=OPERATOR)
    return await ended(stage, asked)


async def versions(stage: Stage) -> list[tuple[str, str]]:
    rows = await stage.base.tenant_rows(
        ACME, "select package, version from installations where state = 'installed' order by package"
    )
    return [tuple(row) for row in rows]


async def test_what_comes_to_need_the_version_there_while_another_is_tried(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installed(stage)
    await put(stage, "2.0.0")
    await publish(stage.base.database, release("greeter", needs={"mattermost": "^1.0.0"}))
    came = while_tried(stage, monkeypatch, lambda: needing(stage))
    asked = await lifecycle.upgrade(stage.house, ACME, "mattermost", actor=OPERATOR)
    upgraded = await ended(stage, asked)
    assert came[0].succeeded
    assert (upgraded.state, upgraded.error_code) == ("failed", "conflict")
    assert await versions(stage) == [("greeter", "1.0.0"), ("mattermost", "1.0.0")]


async def test_what_comes_to_need_it_at_the_very_moment_that_it_goes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installed(stage)
    await publish(stage.base.database, release("greeter", needs={"mattermost": "^1.0.0"}))
    refuse = dependents.refuse_needed

    async def refuse_needed(*known: Any) -> None:
        await refuse(*known)
        await needing(stage)

    asked = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    monkeypatch.setattr(uninstalling, "refuse_needed", refuse_needed)
    gone = await ended(stage, asked)
    assert (gone.state, gone.error_code) == ("failed", "conflict")
    assert await versions(stage) == [("greeter", "1.0.0"), ("mattermost", "1.0.0")]


@pytest.mark.parametrize("verb", ["uninstall", "upgrade"])
async def test_what_it_needs_goes_at_the_very_moment_that_it_comes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    await installed(stage)
    await put(stage, "2.0.0")
    await publish(stage.base.database, release("greeter", needs={"mattermost": "^1.0.0"}))
    require = planning.require_needs

    async def require_needs(*known: Any) -> None:
        await require(*known)
        state = ("state = 'uninstalling'", "version = '2.0.0'")[verb == "upgrade"]
        await stage.base.tenant_rows(ACME, f"update installations set {state} where package = 'mattermost'")

    asked = await lifecycle.install(stage.house, ACME, "greeter", config={}, secrets={}, actor=OPERATOR)
    monkeypatch.setattr(installing, "require_needs", require_needs)
    came = await ended(stage, asked)
    assert (came.state, came.error_code) == ("failed", "conflict")


async def test_who_was_granted_nothing_that_is_optional_is_not_granted_it_by_the_next_migration(
    stage: Stage,
) -> None:
    await publish(stage.base.database, release("greeter", permissions=[LOOK]))
    assert (await needing(stage)).succeeded
    await grants.complete(stage.house.tenancy, ACME)
    assert await stage.base.tenant_rows(ACME, "select scope from grants") == []


async def test_what_only_the_version_that_is_left_required_is_granted_no_more(stage: Stage) -> None:
    await publish(stage.base.database, release("greeter", permissions=[LOOK]))
    await publish(stage.base.database, release("greeter", "1.1.0", permissions=[{**LOOK, "required": True}]))
    pinned: dict[str, Any] = {"config": {}, "secrets": {}, "actor": OPERATOR}
    asked = await lifecycle.install(stage.house, ACME, "greeter@1.0.0", **pinned)
    assert (await ended(stage, asked)).succeeded
    asked = await lifecycle.upgrade(stage.house, ACME, "greeter", actor=OPERATOR, consent=True)
    assert (await ended(stage, asked)).succeeded
    look = "select scope, required from grants"
    assert [tuple(row) for row in await stage.base.tenant_rows(ACME, look)] == [("orders:read", True)]
    asked = await lifecycle.rollback(stage.house, ACME, "greeter", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    assert await stage.base.tenant_rows(ACME, look) == []


async def test_what_was_granted_before_an_upgrade_is_granted_after_its_rollback(stage: Stage) -> None:
    await publish(stage.base.database, release("greeter", permissions=[LOOK]))
    await publish(stage.base.database, release("greeter", "1.1.0", permissions=[{**LOOK, "required": True}]))
    pinned: dict[str, Any] = {"config": {}, "secrets": {}, "actor": OPERATOR, "grants": ["orders:read"]}
    asked = await lifecycle.install(stage.house, ACME, "greeter@1.0.0", **pinned)
    assert (await ended(stage, asked)).succeeded
    asked = await lifecycle.upgrade(stage.house, ACME, "greeter", actor=OPERATOR, consent=True)
    assert (await ended(stage, asked)).succeeded
    asked = await lifecycle.rollback(stage.house, ACME, "greeter", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    look = await stage.base.tenant_rows(ACME, "select scope, required from grants")
    assert [tuple(row) for row in look] == [("orders:read", False)]


async def test_two_that_are_asked_for_at_once_are_not_more_than_allowed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(stage.base.database, release("greeter", limits={"cost": "None.", "max_installations": 1}))
    look = find.live_installations

    async def look_slowly(*known: Any) -> Any:
        found = await look(*known)
        await asyncio.sleep(0.3)
        return found

    monkeypatch.setattr(asking_install, "live_installations", look_slowly)
    pinned: dict[str, Any] = {"config": {}, "secrets": {}, "actor": OPERATOR}
    both = [lifecycle.install(stage.house, ACME, "greeter", name=name, **pinned) for name in ("one", "two")]
    came = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in came if isinstance(one, Exception)] == [Conflict]
    assert len(await stage.base.tenant_rows(ACME, "select 1 from installations")) == 1


async def test_what_a_revocation_stops_while_a_person_does_is_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installed(stage)

    async def attempt(*_: Any) -> None:
        await stage.base.tenant_rows(
            ACME, "update installations set state = 'disabled', blocked = 'It leaks'"
        )

    monkeypatch.setattr(Disable, "attempt", attempt)
    asked = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await ended(stage, asked)).succeeded
    assert ((await only(stage))["state"], (await only(stage))["blocked"]) == ("disabled", "It leaks")
