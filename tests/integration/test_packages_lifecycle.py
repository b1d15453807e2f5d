"""Installing, configuring, disabling, uninstalling: on a sandbox Mattermost, with another tenant beside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.connectors.register import register_connectors
from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.packages import lifecycle, look
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.register import register_packages
from tests.connected import OPERATOR, Stage, build_house, connected_house, listening, until, working
from tests.house import ACME, GLOBEX


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


async def install(
    stage: Stage, tenant: TenantSlug = ACME, *, token: str = "", name: str = "", **config: Any
) -> Ended:
    settings = {"server_url": stage.server.url, "team": "engineering", **config}
    secrets = {"bot_token": Secret(token or stage.bot.token)}
    asked = await lifecycle.install(
        stage.house, tenant, "mattermost", config=settings, secrets=secrets, name=name, actor=OPERATOR
    )
    return await run_now(stage.house, tenant, asked.directive_id, 20)


async def configure(stage: Stage, token: str = "", **config: Any) -> Ended:
    secrets = {"bot_token": Secret(token)} if token else {}
    asked = await lifecycle.configure(
        stage.house, ACME, "mattermost", config=config, secrets=secrets, actor=OPERATOR
    )
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def change(stage: Stage, verb: Any, tenant: TenantSlug = ACME) -> Ended:
    asked = await verb(stage.house, tenant, "mattermost", actor=OPERATOR)
    return await run_now(stage.house, tenant, asked.directive_id, 20)


async def signal_names(stage: Stage, tenant: TenantSlug = ACME) -> list[str]:
    rows = await stage.base.tenant_rows(
        tenant, "select name from signals where name like 'package.%' order by id"
    )
    return [row["name"] for row in rows]


async def installations(stage: Stage, tenant: TenantSlug = ACME) -> list[Any]:
    return await stage.base.tenant_rows(tenant, "select * from installations order by id")


async def test_an_installation_works_at_once_and_is_on_record(stage: Stage) -> None:
    ended = await install(stage)
    assert (ended.state, ended.receipt["account"]["name"]) == ("succeeded", "fleet")
    assert (ended.receipt["agent"], ended.receipt["agent_is_new"]) == ("fleet", True)
    [row] = await installations(stage)
    assert (row["state"], row["version"], row["generation"]) == ("installed", "1.0.0", 1)
    assert row["start_at_ms"] > 1_700_000_000_000
    assert await signal_names(stage) == [
        "package.install.requested",
        "package.install.started",
        "package.install.completed",
    ]
    [connection] = await stage.base.rows("select * from public.connections")
    assert (connection["tenant"], connection["enabled"]) == (ACME, True)
    for table in ("installations", "signals", "directives", "credentials", "agents"):
        assert await stage.base.tenant_rows(GLOBEX, f"select 1 from {table}") == []


async def test_no_secret_is_stored_readable(stage: Stage) -> None:
    await install(stage)
    for table in ("credentials", "directives", "effects", "signals", "installations"):
        rows = await stage.base.tenant_rows(ACME, f"select to_jsonb(t)::text as row from {table} t")
        assert rows
        assert not any(stage.bot.token in row["row"] for row in rows)
        assert not any(stage.bot.token.encode().hex() in row["row"] for row in rows)


async def test_a_worker_installs_as_well(stage: Stage) -> None:
    async with working(stage.house):
        assert (await install(stage)).succeeded


async def test_asking_twice_installs_once(stage: Stage) -> None:
    await install(stage)
    assert (await install(stage)).succeeded
    assert len(await installations(stage)) == 1
    assert (await signal_names(stage)).count("package.install.completed") == 1
    with pytest.raises(Conflict, match="configure"):
        await install(stage, follow_threads="true")


async def test_asking_twice_at_the_same_moment_installs_once(stage: Stage) -> None:
    results = await asyncio.gather(*(install(stage) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, Ended | Conflict) for one in results)
    assert len(await installations(stage)) == 1


@pytest.mark.parametrize(
    ("config", "secrets", "said"),
    [
        ({"server": "x"}, {"bot_token": "t"}, "server_url"),
        ({"server_url": "chat.example.org"}, {"bot_token": "t"}, "https://"),
        ({"server_url": "https://x.org"}, {"bot_tokn": "t"}, "bot_token"),
        ({"server_url": "https://x.org"}, {"bot_token": " "}, "is empty"),
        ({"server_url": "https://x.org", "max_automated_turns": "many"}, {"bot_token": "t"}, "max_automated"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(
    stage: Stage, config: dict[str, str], secrets: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await lifecycle.install(
            stage.house,
            ACME,
            "mattermost",
            config=config,
            secrets={name: Secret(value) for name, value in secrets.items()},
            actor=OPERATOR,
        )
    assert said in str(refused.value)
    assert await installations(stage) == []


async def test_an_unknown_package_names_the_nearest(stage: Stage) -> None:
    with pytest.raises(NotFound, match="mattermost"):
        await lifecycle.install(stage.house, ACME, "matermost", config={}, secrets={}, actor=OPERATOR)


async def test_an_agent_that_is_not_there_is_named(stage: Stage) -> None:
    await install(stage)
    with pytest.raises(InvalidInput, match="fleet"):
        await configure(stage, agent="flet")


async def test_each_failure_has_its_kind_and_a_remedy(stage: Stage) -> None:
    person = stage.server.create_user("person")
    stage.server.add_to_team(person, stage.team)
    outsider = stage.server.create_user("outsider", is_bot=True)
    cases = [
        ({"token": "wrong" * 5}, "auth", "token", "needs_config"),
        ({"token": person.token}, "config", "bot account", "needs_config"),
        ({"token": outsider.token}, "config", "team", "needs_config"),
        ({"team": "elsewhere"}, "config", "team", "needs_config"),
        ({"server_url": "http://127.0.0.1:9"}, "network", "server_url", "failed"),
    ]
    for given, code, remedy, state in cases:
        ended = await install(stage, **given)  # type: ignore[arg-type]
        assert (ended.state, ended.error_code) == ("failed", code), given
        assert ended.error is not None
        assert remedy in ended.error
        [row] = await installations(stage)
        assert (row["state"], row["error"]) == (state, ended.error)
    assert (await signal_names(stage)).count("package.install.failed") == len(cases)
    assert await stage.base.rows("select 1 from public.connections") == []
    assert (await install(stage)).succeeded


async def test_a_failed_installation_is_mended_by_configuring_it(stage: Stage) -> None:
    assert (await install(stage, team="elsewhere")).error_code == "config"
    assert (await configure(stage, team="engineering")).succeeded
    [row] = await installations(stage)
    assert (row["state"], row["error"]) == ("installed", None)


async def test_one_account_serves_one_installation_and_nobody_else_learns_whose(stage: Stage) -> None:
    await install(stage)
    ended = await install(stage, GLOBEX)
    assert (ended.state, ended.error_code) == ("failed", "conflict")
    assert ended.error is not None
    assert "in use" in ended.error
    assert "acme" not in ended.error
    assert "this organization" not in ended.error
    second = await install(stage, name="second")
    assert second.error is not None
    assert "this organization" in second.error
    assert len(await stage.base.rows("select 1 from public.connections")) == 1


async def test_settings_that_do_not_work_leave_the_running_ones_alone(stage: Stage) -> None:
    await install(stage)
    before = await installations(stage)
    ended = await configure(stage, token="wrong" * 5)
    assert (ended.state, ended.error_code) == ("failed", "auth")
    assert await installations(stage) == before
    async with stage.house.tenancy.session(ACME) as session:
        secrets = await stage.house.vault.read_all(session, before[0]["id"])
    assert secrets == {"bot_token": Secret(stage.bot.token)}
    assert len(await stage.base.tenant_rows(ACME, "select 1 from credentials")) == 1


async def test_new_settings_reach_a_running_listener(stage: Stage) -> None:
    await install(stage)
    other = stage.server.create_user("helper", is_bot=True)
    stage.server.add_to_channel(other, stage.support)
    async with listening(stage):
        connected = "select 1 from installation_health where state = 'connected'"
        await until(lambda: stage.base.tenant_rows(ACME, connected))
        assert (await configure(stage, token=other.token, allowed_bots="a, b")).succeeded
        stage.server.post(stage.dana, stage.support, "@helper hello")
        heard = "select payload from signals where name = 'chat.message.received' and payload->>'addressed' = 'true'"
        rows = await until(lambda: stage.base.tenant_rows(ACME, heard))
        assert json.loads(rows[0]["payload"])["request"] == "hello"
    [row] = await installations(stage)
    assert (row["generation"], json.loads(row["config"])["allowed_bots"]) == (2, ["a", "b"])
    assert (await signal_names(stage))[-1] == "package.configured"


async def test_disabling_silences_and_enabling_starts_from_now(stage: Stage) -> None:
    await install(stage)
    assert (await change(stage, lifecycle.disable)).succeeded
    stage.server.post(stage.dana, stage.support, "@fleet are you there?")
    await asyncio.sleep(0.02)
    assert (await change(stage, lifecycle.enable)).succeeded
    stage.server.post(stage.dana, stage.support, "@fleet and now?")
    heard = "select payload->>'request' as r from signals where name = 'chat.message.received'"
    async with listening(stage):
        rows = await until(lambda: stage.base.tenant_rows(ACME, heard))
    assert [row["r"] for row in rows] == ["and now?"]
    assert (await signal_names(stage))[-2:] == ["package.disabled", "package.enabled"]
    with pytest.raises(Conflict, match="installed"):
        await change(stage, lifecycle.enable)


async def test_uninstalling_forgets_secrets_keeps_the_record_and_frees_the_account(stage: Stage) -> None:
    await install(stage)
    assert (await change(stage, lifecycle.uninstall)).succeeded
    assert await stage.base.tenant_rows(ACME, "select 1 from credentials") == []
    assert await stage.base.rows("select 1 from public.connections") == []
    assert (await signal_names(stage))[-1] == "package.uninstalled"
    assert (await install(stage, GLOBEX)).succeeded
    assert (await change(stage, lifecycle.uninstall, GLOBEX)).succeeded
    assert (await install(stage)).succeeded
    assert [row["state"] for row in await installations(stage)] == ["uninstalled", "installed"]


async def test_status_and_test_say_what_is(stage: Stage) -> None:
    assert await look.status(stage.house, ACME) == []
    await install(stage)
    [status] = await look.status(stage.house, ACME, "mattermost")
    assert (status.state, status.account, status.is_listened_to) == ("installed", "fleet", False)
    async with listening(stage):
        await until(lambda: stage.base.rows("select 1 from public.connections where holder is not null"))
        [status] = await look.status(stage.house, ACME)
        assert status.is_listened_to
    lines = await look.check_installation(stage.house, ACME, "mattermost")
    assert [(line.name, line.ok) for line in lines][:3] == [
        ("address", True),
        ("token", True),
        ("team", True),
    ]
    stage.server.revoke(stage.bot)
    lines = await look.check_installation(stage.house, ACME, "mattermost")
    assert (lines[-1].ok, "token" in lines[-1].remedy) == (False, True)
    with pytest.raises(NotFound):
        await look.check_installation(stage.house, GLOBEX, "mattermost")


async def test_the_wrong_master_key_is_said_to_be_wrong(stage: Stage) -> None:
    await install(stage)
    stranger = build_house(stage.base)
    register_packages(stranger)
    register_connectors(stranger)
    with pytest.raises(FleetPromptError, match="master key"):
        await look.check_installation(stranger, ACME, "mattermost")


async def test_a_mention_is_answered_in_its_thread(stage: Stage) -> None:
    await install(stage)
    async with listening(stage), working(stage.house):
        root = stage.server.post(stage.dana, stage.support, "@fleet hello, who are you?")

        async def answered() -> list[Any]:
            return [p for p in stage.server.posts() if p.user_id == stage.bot.id and p.root_id == root.id]

        [answer] = await until(answered)
    assert answer.message
    assert await stage.base.tenant_rows(GLOBEX, "select 1 from executions") == []
