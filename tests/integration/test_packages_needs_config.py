"""An install that lacks something: recorded, it says what it waits for, goes on when that comes, tried before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.packages import lifecycle, look
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.installers import ProbeFailed
from fleetprompt.packages.lifecycle import Asked
from tests.connected import OPERATOR, Stage, connected_house
from tests.house import ACME, GLOBEX


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


async def ask(stage: Stage, token: str = "", **config: Any) -> Asked:
    secrets = {"bot_token": Secret(token)} if token else {}
    return await lifecycle.install(
        stage.house, ACME, "mattermost", config=config, secrets=secrets, actor=OPERATOR
    )


async def provide(stage: Stage, asked: Asked, token: str) -> Asked:
    return await lifecycle.provide_secret(
        stage.house, ACME, asked.installation_id, "bot_token", Secret(token), OPERATOR
    )


async def only(stage: Stage) -> Any:
    [row] = await stage.base.tenant_rows(ACME, "select * from installations")
    return row


async def names(stage: Stage) -> list[str]:
    rows = await stage.base.tenant_rows(
        ACME, "select name from signals where name like 'package.%' order by id"
    )
    return [row["name"].removeprefix("package.") for row in rows]


async def test_what_is_missing_is_said_and_nothing_runs_until_all_of_it_has_come(stage: Stage) -> None:
    asked = await ask(stage, team="engineering")
    assert asked.missing == ("setting:server_url", "secret:bot_token")
    assert asked.requested is None
    row = await only(stage)
    assert (row["state"], row["error_code"]) == ("needs_config", "config")
    assert "waits for the setting server_url and the secret bot_token" in row["error"]
    assert "--set server_url=... --secret bot_token=env:NAME" in row["error"]
    asked = await ask(stage, server_url=stage.server.url)
    assert asked.missing == ("secret:bot_token",)
    [status] = await look.status(stage.house, ACME)
    assert status.missing == ["secret:bot_token"]
    assert await stage.base.tenant_rows(ACME, "select 1 from directives") == []
    asked = await provide(stage, asked, stage.bot.token)
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded
    row = await only(stage)
    assert (row["state"], row["error"], row["missing"]) == ("installed", None, [])
    assert await names(stage) == [
        "install.requested",
        "install.needs_config",
        "install.needs_config",
        "install.requested",
        "install.started",
        "install.completed",
    ]


async def test_what_two_people_give_at_once_is_all_there(stage: Stage) -> None:
    await ask(stage)
    both = await asyncio.gather(
        ask(stage, stage.bot.token), ask(stage, server_url=stage.server.url, team="engineering")
    )
    [last] = [one for one in both if not one.missing]
    assert (await run_now(stage.house, ACME, last.directive_id, 20)).succeeded
    assert ((await only(stage))["state"], (await only(stage))["generation"]) == ("installed", 3)


async def test_a_setting_that_comes_last_lets_it_go_on_as_well(stage: Stage) -> None:
    asked = await ask(stage, stage.bot.token)
    assert asked.missing == ("setting:server_url",)
    given = {"server_url": stage.server.url, "team": "engineering"}
    asked = await lifecycle.configure(
        stage.house, ACME, "mattermost", config=given, secrets={}, actor=OPERATOR
    )
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded


async def test_a_setting_that_cannot_be_is_refused_though_others_are_missing(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="max_automated"):
        await ask(stage, max_automated_turns="many")
    with pytest.raises(InvalidInput, match="server_url"):
        await ask(stage, server="x")
    assert await stage.base.tenant_rows(ACME, "select 1 from installations") == []


async def test_a_secret_that_the_far_side_refuses_is_not_stored(stage: Stage) -> None:
    asked = await ask(stage, server_url=stage.server.url, team="engineering")
    with pytest.raises(ProbeFailed) as refused:
        await provide(stage, asked, "wrong" * 5)
    assert refused.value.code == "auth"
    assert await stage.base.tenant_rows(ACME, "select 1 from credentials") == []
    assert (await only(stage))["state"] == "needs_config"


async def test_a_new_secret_of_what_runs_is_tried_then_takes_over(stage: Stage) -> None:
    asked = await ask(stage, stage.bot.token, server_url=stage.server.url, team="engineering")
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded
    with pytest.raises(ProbeFailed):
        await provide(stage, asked, "wrong" * 5)
    other = stage.server.create_user("other", is_bot=True)
    stage.server.add_to_channel(other, stage.support)
    again = await provide(stage, asked, other.token)
    assert (await run_now(stage.house, ACME, again.directive_id, 20)).succeeded
    async with stage.house.tenancy.session(ACME) as session:
        secrets = await stage.house.vault.read_all(session, asked.installation_id)
    assert secrets == {"bot_token": Secret(other.token)}


async def test_of_two_secrets_that_are_given_at_once_the_later_is_not_said_to_be_in_force(
    stage: Stage,
) -> None:
    asked = await ask(stage, stage.bot.token, server_url=stage.server.url, team="engineering")
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded
    others = [stage.server.create_user(name, is_bot=True) for name in ("one", "two")]
    for other in others:
        stage.server.add_to_channel(other, stage.support)
    first, second = [await provide(stage, asked, other.token) for other in others]
    assert (await run_now(stage.house, ACME, first.directive_id, 20)).succeeded
    late = await run_now(stage.house, ACME, second.directive_id, 20)
    assert (late.state, late.error_code) == ("failed", "conflict")
    async with stage.house.tenancy.session(ACME) as session:
        secrets = await stage.house.vault.read_all(session, asked.installation_id)
    assert secrets == {"bot_token": Secret(others[0].token)}
    assert len(await stage.base.tenant_rows(ACME, "select 1 from credentials")) == 1


async def test_a_secret_goes_to_an_installation_of_this_organization_that_takes_it(stage: Stage) -> None:
    asked = await ask(stage, server_url=stage.server.url)
    with pytest.raises(InvalidInput, match="bot_token"):
        await lifecycle.provide_secret(
            stage.house, ACME, asked.installation_id, "bot_tokn", Secret("x"), OPERATOR
        )
    for tenant, installation_id in ((GLOBEX, asked.installation_id), (ACME, new_id())):
        with pytest.raises(NotFound):
            await lifecycle.provide_secret(
                stage.house, tenant, installation_id, "bot_token", Secret("x"), OPERATOR
            )
    gone = await lifecycle.uninstall(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await run_now(stage.house, ACME, gone.directive_id, 20)).succeeded
    with pytest.raises(Conflict, match="uninstalled"):
        await provide(stage, asked, "x")
