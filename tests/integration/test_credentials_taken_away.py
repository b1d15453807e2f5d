"""A credential that is revoked is gone at once, and what cannot work without it rests until it has another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import InvalidInput, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Installation
from fleetprompt.packages import lifecycle
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.revoking import named_secret, revoke_secret
from tests.connected import OPERATOR, Stage, connected_house
from tests.house import ACME, GLOBEX


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


async def state(stage: Stage) -> tuple[str, int]:
    rows = await stage.base.tenant_rows(
        ACME, "select state, (select count(*) from credentials) from installations"
    )
    return rows[0][0], rows[0][1]


async def test_what_needs_it_rests_and_wakes_with_another(stage: Stage, installation: Installation) -> None:
    for _ in range(2):
        assert await revoke_secret(stage.house, ACME, installation.id, "bot_token", OPERATOR) == "disabled"
        assert await state(stage) == ("disabled", 0)
    woken = await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert not (await run_now(stage.house, ACME, woken.directive_id, 20)).succeeded
    assert await state(stage) == ("disabled", 0)
    asked = await lifecycle.provide_secret(
        stage.house, ACME, installation.id, "bot_token", Secret(stage.bot.token), OPERATOR
    )
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded
    woken = await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert (await run_now(stage.house, ACME, woken.directive_id, 20)).succeeded
    assert await state(stage) == ("installed", 1)


async def test_an_optional_one_goes_and_all_else_goes_on(stage: Stage, installation: Installation) -> None:
    async with stage.house.tenancy.session(ACME) as session:
        await stage.house.vault.store(session, installation.id, {"slash_token": Secret("k3" * 13)})
    assert await revoke_secret(stage.house, ACME, installation.id, "slash_token", OPERATOR) == "installed"
    assert await state(stage) == ("installed", 1)


async def test_no_other_tenant_takes_anything_away(stage: Stage, installation: Installation) -> None:
    for tenant, one in ((GLOBEX, installation.id), (ACME, new_id())):
        with pytest.raises(NotFound):
            await revoke_secret(stage.house, tenant, one, "bot_token", OPERATOR)
    assert await state(stage) == ("installed", 1)


def test_a_secret_is_called_by_its_name_or_is_the_only_one(stage: Stage) -> None:
    installer = stage.house.installers.find("mattermost")
    assert named_secret(installer, None) == "bot_token"
    assert named_secret(installer, "slash_token") == "slash_token"
    with pytest.raises(InvalidInput, match="bot_token"):
        named_secret(installer, "bot_tokn")
