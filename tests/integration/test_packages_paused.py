"""An installation that was paused goes on where it was, or from now on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages import lifecycle
from fleetprompt.packages.asking import Asked
from fleetprompt.packages.inline import run_now
from tests.connected import OPERATOR, Stage, connected_house, listening, until
from tests.house import ACME

HEARD = "select payload->>'request' as r from signals where name = 'chat.message.received' order by id"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        await opened.adopt()
        yield opened


async def done(stage: Stage, asked: Asked) -> None:
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded


@pytest.mark.parametrize(("catch_up", "then"), [(True, ["meanwhile", "after"]), (False, ["after"])])
async def test_what_was_written_in_a_pause_is_read_where_that_is_wanted(
    stage: Stage, catch_up: bool, then: list[str]
) -> None:
    stage.server.post(stage.dana, stage.support, "@fleet before")
    async with listening(stage):
        await until(lambda: stage.base.tenant_rows(ACME, HEARD))
        await done(stage, await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR))
    await stage.base.tenant_rows(
        ACME, """update installations set account = account || '{"server_version": "another"}'"""
    )  # the server was upgraded meanwhile
    stage.server.post(stage.dana, stage.support, "@fleet meanwhile")
    asked = await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR, catch_up=catch_up)
    if catch_up:
        plain = await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR)
        assert plain.requested == asked.requested
    else:
        with pytest.raises(Conflict, match="in another way"):
            await lifecycle.enable(stage.house, ACME, "mattermost", actor=OPERATOR, catch_up=True)
    await done(stage, asked)
    stage.server.post(stage.dana, stage.support, "@fleet after")
    async with listening(stage):
        await until(lambda: stage.base.tenant_rows(ACME, f"select 1 from ({HEARD}) h where r = 'after'"))
    rows = await stage.base.tenant_rows(ACME, HEARD)
    assert [row["r"] for row in rows] == ["before", *then]
