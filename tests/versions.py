"""Other versions of the first-party package, signed with the test's key, on the stage of a sandbox Mattermost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import rfc8785

from fleetprompt.credentials import Secret
from fleetprompt.packages import lifecycle
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.publishing import FIRST_PARTY, Release, load_release, publish
from fleetprompt.packages.signing import TRUSTED, sign
from tests.connected import OPERATOR, Stage, connected_house
from tests.house import ACME
from tests.manifests import KEY, KEYS

ORIGINAL = load_release(FIRST_PARTY / "mattermost" / "1.0.0.yaml")
VALUES = json.loads(ORIGINAL.canonical)
MORE = {
    "scope": "mattermost.files",
    "access": "read",
    "required": True,
    "reason": "Files are read.",
    "risk": "medium",
    "data": "attachments",
    "approval": "never",
}
"""A permission that 1.0.0 does not ask for."""


@contextlib.asynccontextmanager
async def versions_stage(monkeypatch: pytest.MonkeyPatch, key: bytes | None = None) -> AsyncIterator[Stage]:
    """The test's key is trusted. key: the master key, where another process needs it too."""
    for name, public in KEYS.items():
        monkeypatch.setitem(TRUSTED, name, public)
    async with connected_house(key) as opened:
        yield opened


def newer(version: str, **changes: Any) -> Release:
    """A later version of the first-party package."""
    content = rfc8785.dumps({**VALUES, "version": version, **changes})
    return Release(Manifest.model_validate_json(content), content, sign(content, KEY))


def migrating(
    steps: Sequence[Mapping[str, Any]], version: int = 2, **settings: Any
) -> dict[str, dict[str, Any]]:
    """A manifest's `config` with one migration; settings: JSON Schemas in place of those there."""
    schema = json.loads(json.dumps(VALUES["config"]["schema"]))
    schema["properties"] |= settings
    return {"config": {"version": version, "schema": schema, "migrations": [{"to": version, "steps": steps}]}}


async def put(stage: Stage, version: str, **changes: Any) -> None:
    """Publish it."""
    await publish(stage.base.database, newer(version, **changes))


async def installed(stage: Stage, package: str = "mattermost@1.0.0", **config: Any) -> None:
    """Install it, to its end."""
    asked = await lifecycle.install(
        stage.house,
        ACME,
        package,
        config={"server_url": stage.server.url, "team": "engineering", **config},
        secrets={"bot_token": Secret(stage.bot.token)},
        actor=OPERATOR,
    )
    assert (await ended(stage, asked)).succeeded


async def ended(stage: Stage, asked: Asked) -> Ended:
    """Run it here, to its end."""
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def only(stage: Stage) -> Any:
    """The row of the only installation, its settings read."""
    [row] = await stage.base.tenant_rows(ACME, "select * from installations")
    return {**row, "config": json.loads(row["config"])}


async def told(stage: Stage) -> list[str]:
    """The signals of packages, in order, without their first word."""
    rows = await stage.base.tenant_rows(
        ACME, "select name from signals where name like 'package.%' order by id"
    )
    return [row["name"].removeprefix("package.") for row in rows]
