"""A package that asks for another installation's credential gets nothing, however it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.packages import lifecycle
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.publishing import publish
from tests.connected import OPERATOR, Stage
from tests.house import ACME
from tests.manifests import release
from tests.versions import installed, versions_stage

KEY = {"key": "bot_token", "title": "A token", "kind": "token", "acquire": "Ask.", "verify": "It is tried."}
STEP = {"name": "post", "directive": "mattermost.post.create", "params": {"channel_id": "c"}}
ASKS: dict[str, dict[str, Any]] = {
    "as its own, without a connector": {"credentials": [KEY]},
    "by binding the same connector": {
        "kind": "connector",
        "binds": "mattermost",
        "credentials": [KEY],
        "provides": {
            "connectors": [{"connector": "mattermost", "title": "x", "inbound": True, "outbound": True}]
        },
    },
    "in a template": {"steps": [{**STEP, "params": {"text": "{{credentials.mattermost.bot_token}}"}}]},
    "in another one": {"steps": [{**STEP, "params": {"text": "{{installation.secrets.bot_token}}"}}]},
    "by another installation's hand": {"steps": [{**STEP, "installation": "mattermost"}]},
}


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        await installed(opened)
        yield opened


def values_of(asks: dict[str, Any]) -> dict[str, Any]:
    """The manifest's parts; steps: of a workflow beside what the valid one provides."""
    if "steps" not in asks:
        return asks
    workflow = {"name": "take", "title": "Take", "on": "chat.message.received", "steps": asks["steps"]}
    return {"provides": {"workflows": [workflow]}, "directives": ["mattermost.post.create"]}


async def everything(stage: Stage) -> str:
    """Each row of the tenant, as text."""
    names = await stage.base.rows("select tablename from pg_tables where schemaname = 'org_acme'")
    found = [
        await stage.base.tenant_rows(ACME, f"select to_jsonb(t)::text as row from {row['tablename']} t")
        for row in names
    ]
    return "\n".join(row["row"] for rows in found for row in rows)


@pytest.mark.parametrize("way", ASKS)
async def test_it_gets_nothing(stage: Stage, way: str) -> None:
    await publish(stage.base.database, release("greeter", "1.0.0", **values_of(ASKS[way])))
    before = await stage.base.tenant_rows(ACME, "select installation_id, name from credentials")
    with pytest.raises(FleetPromptError) as refused:
        await lifecycle.install(stage.house, ACME, "greeter", config={}, secrets={}, actor=OPERATOR)
    assert stage.bot.token not in str(refused.value)
    assert await stage.base.tenant_rows(ACME, "select 1 from installations where package = 'greeter'") == []
    assert await stage.base.tenant_rows(ACME, "select installation_id, name from credentials") == before
    assert stage.bot.token not in await everything(stage)


async def test_a_package_with_no_credentials_takes_none(stage: Stage) -> None:
    asked = await lifecycle.install(stage.house, ACME, "starter-agent", config={}, secrets={}, actor=OPERATOR)
    assert (await run_now(stage.house, ACME, asked.directive_id, 20)).succeeded
    for give in (
        lifecycle.provide_secret(
            stage.house, ACME, asked.installation_id, "bot_token", Secret("x" * 26), OPERATOR
        ),
        lifecycle.configure(
            stage.house, ACME, "starter-agent", config={}, secrets={"bot_token": Secret("x")}, actor=OPERATOR
        ),
    ):
        with pytest.raises(InvalidInput, match="has no secret 'bot_token'"):
            await give
