"""Which version an installation is made of: chosen, checked when it is asked for and when it is carried out, recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import rfc8785

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.packages import lifecycle, look, withdrawing
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.publishing import FIRST_PARTY, Release, load_release, publish
from fleetprompt.packages.signing import TRUSTED, SignatureRefused, sign
from tests.connected import OPERATOR, Stage, connected_house
from tests.house import ACME
from tests.manifests import KEY, KEYS, release

ORIGINAL = load_release(FIRST_PARTY / "mattermost" / "1.0.0.yaml")


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    for name, key in KEYS.items():
        monkeypatch.setitem(TRUSTED, name, key)
    async with connected_house() as opened:
        yield opened


def newer(version: str, **changes: Any) -> Release:
    """A later version of the first-party package, signed with the test's key."""
    values = {**json.loads(ORIGINAL.canonical), "version": version, **changes}
    content = rfc8785.dumps(values)
    return Release(Manifest.model_validate_json(content), content, sign(content, KEY))


async def ask(stage: Stage, package: str = "mattermost", name: str = "", **config: Any) -> Asked:
    settings = {"server_url": stage.server.url, "team": "engineering", **config}
    secrets = {"bot_token": Secret(stage.bot.token)}
    return await lifecycle.install(
        stage.house, ACME, package, config=settings, secrets=secrets, name=name, actor=OPERATOR
    )


async def run(stage: Stage, asked: Asked) -> Ended:
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def only(stage: Stage) -> Any:
    [row] = await stage.base.tenant_rows(ACME, "select * from installations")
    return row


async def test_version_digest_and_settings_version_are_on_record(stage: Stage) -> None:
    assert (await run(stage, await ask(stage))).succeeded
    row = await only(stage)
    assert (row["version"], row["config_version"]) == ("1.0.0", 1)
    assert row["package_digest"] == ORIGINAL.signature.digest


async def test_the_highest_is_installed_and_an_exact_name_gets_its_own(stage: Stage) -> None:
    schema = json.loads(ORIGINAL.canonical)["config"]["schema"]
    config = {"version": 2, "schema": schema, "migrations": [{"to": 2, "steps": []}]}
    await publish(stage.base.database, newer("1.1.0", config=config))
    asked = await ask(stage)
    assert (await only(stage))["version"] == "1.1.0"
    assert (await only(stage))["config_version"] == 2
    assert (await run(stage, asked)).succeeded
    with pytest.raises(Conflict, match=r"mattermost 1\.1\.0 is installed here already"):
        await ask(stage, "mattermost@1.0.0")
    await ask(stage, "mattermost@1.0.0", name="second")
    rows = await stage.base.tenant_rows(ACME, "select version from installations order by name")
    assert [row["version"] for row in rows] == ["1.1.0", "1.0.0"]


async def test_a_newer_version_leaves_what_is_installed_alone(stage: Stage) -> None:
    assert (await run(stage, await ask(stage))).succeeded
    before = await only(stage)
    await publish(stage.base.database, newer("1.1.0"))
    assert (await run(stage, await ask(stage))).succeeded
    assert await only(stage) == before


async def test_another_try_after_a_failure_takes_the_version_of_now(stage: Stage) -> None:
    assert (await run(stage, await ask(stage, team="elsewhere"))).error_code == "config"
    await publish(stage.base.database, newer("1.1.0"))
    assert (await run(stage, await ask(stage))).succeeded
    assert (await only(stage))["version"] == "1.1.0"


async def test_a_version_that_is_withdrawn_is_refused_and_a_yanked_pin_is_not(stage: Stage) -> None:
    database = stage.base.database
    await withdrawing.yank(database, "mattermost", "1.0.0", "It is slow.")
    with pytest.raises(Conflict, match="yanked"):
        await ask(stage)
    assert (await run(stage, await ask(stage, "mattermost@1.0.0"))).succeeded
    await withdrawing.revoke(database, "mattermost", "1.0.0", "It leaks.")
    with pytest.raises(Conflict, match=r"mattermost 1\.0\.0 is revoked: It leaks"):
        await ask(stage, "mattermost@1.0.0", name="second")


async def test_what_is_revoked_between_asking_and_doing_is_not_done(stage: Stage) -> None:
    asked = await ask(stage)
    await withdrawing.revoke(stage.base.database, "mattermost", "1.0.0", "It leaks.")
    ended = await run(stage, asked)
    assert (ended.state, ended.error_code) == ("failed", "conflict")
    assert "revoked: It leaks" in (ended.error or "")
    assert (await only(stage))["state"] == "failed"
    assert await stage.base.rows("select 1 from public.connections") == []


async def test_a_revoked_version_can_be_silenced_and_removed_but_not_woken(stage: Stage) -> None:
    assert (await run(stage, await ask(stage))).succeeded
    [before] = await look.status(stage.house, ACME)
    await withdrawing.revoke(stage.base.database, "mattermost", "1.0.0", "It leaks.")
    [status] = await look.status(stage.house, ACME)
    assert (before.error, status.error) == (None, "mattermost 1.0.0 is revoked: It leaks.")
    assert "package uninstall mattermost" in (status.remedy or "")
    with pytest.raises(Conflict, match="revoked"):
        await lifecycle.configure(
            stage.house, ACME, "mattermost", config={"post_burst": "3"}, secrets={}, actor=OPERATOR
        )
    verbs = [(lifecycle.disable, True), (lifecycle.enable, False), (lifecycle.uninstall, True)]
    for verb, works in verbs:
        asked = await verb(stage.house, ACME, "mattermost", actor=OPERATOR)
        assert (await run(stage, asked)).succeeded is works, verb


async def test_a_registry_that_was_tampered_with_installs_nothing(stage: Stage) -> None:
    asked = await ask(stage)
    await tamper(stage, "manifest = replace(manifest, 'Nothing beyond', 'Everything beyond')")
    ended = await run(stage, asked)
    assert (ended.state, ended.error_code) == ("failed", "platform")
    assert "changed after it was signed" in (ended.error or "")
    with pytest.raises(SignatureRefused):
        await ask(stage, name="second")


async def test_another_content_of_the_same_version_is_not_what_was_installed(stage: Stage) -> None:
    """Even one that a trusted key signed: whoever can write the registry must not move what stands."""
    assert (await run(stage, await ask(stage))).succeeded
    other = newer("1.0.0", summary="Something else.")
    await tamper(stage, "manifest = $1, digest = $2, key_id = $3, signature = $4", other)
    with pytest.raises(Conflict, match="not the one that was installed"):
        await lifecycle.configure(
            stage.house, ACME, "mattermost", config={"post_burst": "3"}, secrets={}, actor=OPERATOR
        )


async def tamper(stage: Stage, change: str, content: Release | None = None) -> None:
    """As somebody with all rights on the server."""
    values: list[str] = []
    if content is not None:
        signed = content.signature
        values = [content.canonical.decode(), signed.digest, signed.key_id, signed.signature]
    await stage.base.rows("alter table public.package_versions disable trigger user")
    await stage.base.rows(
        f"update public.package_versions set {change} where package = 'mattermost'", *values
    )
    await stage.base.rows("alter table public.package_versions enable trigger user")


async def test_a_version_may_allow_less_than_its_connector(stage: Stage) -> None:
    config = json.loads(ORIGINAL.canonical)["config"]
    config["schema"]["properties"]["post_burst"]["maximum"] = 30
    await publish(stage.base.database, newer("1.1.0", config=config))
    with pytest.raises(InvalidInput, match="'post_burst' cannot be used: it must be at most 30"):
        await ask(stage, post_burst="31")
    assert (await run(stage, await ask(stage, post_burst="30"))).succeeded
    with pytest.raises(InvalidInput, match="at most 30"):
        await lifecycle.configure(
            stage.house, ACME, "mattermost", config={"post_burst": "31"}, secrets={}, actor=OPERATOR
        )


async def test_what_a_package_needs_must_be_there(stage: Stage) -> None:
    needs = [{"package": "greeter", "version": "^1.0.0", "reason": "It greets."}]
    await publish(stage.base.database, newer("1.1.0", requires=needs))
    with pytest.raises(Conflict, match="there is no package 'greeter'"):
        await ask(stage)
    await publish(stage.base.database, release("greeter", "1.2.0"))
    with pytest.raises(
        Conflict, match=r"needs greeter 1\.2\.0\. Install that first: .*greeter@1\.2\.0 --org acme"
    ):
        await ask(stage)
    await stage.base.tenant_rows(
        ACME,
        "insert into installations (id, package, version, name, state, config, account, start_at_ms, generation)"
        " values (gen_random_uuid(), 'greeter', '1.2.0', '', 'installed', '{}', '{}', 0, 1)",
    )
    assert (await run(stage, await ask(stage))).succeeded


async def test_a_package_without_its_connector_says_so(stage: Stage) -> None:
    for package in ("webhook", "webhook@0.1.0"):
        with pytest.raises(Conflict, match=r"not installable yet.* connector 'webhook'"):
            await ask(stage, package)


async def test_an_unknown_version_is_answered_with_the_nearest(stage: Stage) -> None:
    with pytest.raises(NotFound, match=r"Did you mean: 1\.0\.0\?"):
        await ask(stage, "mattermost@1.0.1")
