"""The doctor: what is wrong, whose it is, and what to do about it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.command_line import CommandLine, Said
from tests.database import fresh_database
from tests.house import ACME, GLOBEX, fresh_house
from tests.rows import DIRECTIVE

FIELDS = {"check", "level", "org", "detail", "remedy"}


def found(said: Said, check: str, org: str | None = None) -> dict[str, Any]:
    """The finding of a check."""
    rows = [row for row in said.rows if row["check"] == check and (org is None or row["org"] == org)]
    assert len(rows) == 1, said.out
    return dict(rows[0])


async def test_a_house_in_order_has_nothing_that_fails() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        said, people = await asyncio.gather(run.ok("doctor", "--json"), run.ok("doctor"))
        assert all(set(row) == FIELDS for row in said.rows)
        assert {row["level"] for row in said.rows} == {"ok", "warn"}
        assert [row["check"] for row in said.rows if row["level"] == "warn"] == ["workers"]
        assert all(row["remedy"] for row in said.rows if row["level"] != "ok")
        assert "fleetprompt up" in people.out
        assert max(len(line) for line in people.out.splitlines()) <= 100


async def test_a_database_that_is_away_is_said_clearly_and_the_rest_is_still_looked_at() -> None:
    run = CommandLine.on("postgresql://nobody:hunter2secret@127.0.0.1:1/none")
    said = await run("doctor", "--json")
    assert (said.code, said.err) == (1, "")
    assert found(said, "database")["detail"] == "Postgres does not answer."
    assert found(said, "database")["remedy"]
    assert found(said, "master key")["level"] == "ok"
    assert "hunter2secret" not in said.out


async def test_a_database_that_was_never_prepared_is_named_and_left_alone() -> None:
    async with fresh_database() as url:
        said = await CommandLine.on(url)("doctor", "--json")
        assert (said.code, found(said, "registry")["remedy"]) == (1, "Run: fleetprompt migrate")


async def test_schemas_are_found_astray_and_mended_when_asked() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        await house.rows("delete from public.organizations where slug = 'globex'")
        looked = await run("doctor", "--json")
        assert (looked.code, found(looked, "schemas")["org"]) == (1, "globex")
        assert await house.value("select count(*) from public.organizations") == 1
        mended = await run.ok("doctor", "--mend", "--json")
        assert (found(mended, "mended")["level"], found(mended, "mended")["org"]) == ("ok", "globex")
        assert await house.value("select state from public.organizations where slug = 'globex'") == "active"


async def test_a_master_key_that_opens_nothing_a_missing_one_and_a_model_without_a_key_are_failures() -> None:
    other = base64.b64encode(b"x" * 32).decode()
    async with fresh_house() as house, SandboxMattermost() as chat:
        run = CommandLine.on(house.url)
        chat.create_team("t")
        install = ("package", "install", "mattermost", "--set", f"server_url={chat.url}", "--org", "acme")
        await run(*install, "--secret", "bot_token=env:BOT", BOT="refused")
        wrong, missing, keyless = await asyncio.gather(
            run("doctor", "--json", FLEETPROMPT_MASTER_KEY=other),
            run("doctor", "--json", FLEETPROMPT_MASTER_KEY=""),
            run("doctor", "--json", FLEETPROMPT_MODEL="openai:gpt-5"),
        )
        assert [wrong.code, missing.code, keyless.code] == [1, 1, 1]
        assert found(wrong, "tenant key")["org"] == "acme"
        assert "Restore that key" in found(wrong, "tenant key")["remedy"]
        assert found(missing, "master key")["level"] == "fail"
        assert "FLEETPROMPT_MODEL_API_KEY" in found(keyless, "model")["remedy"]
        broken = await run("doctor", "--json", "--org", "acme")
        assert found(broken, "mattermost")["level"] == "fail"
        assert "package configure mattermost --org acme" in found(broken, "mattermost")["remedy"]


async def test_what_waits_for_a_person_is_told_to_its_own_organization() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        for state in ("outcome_unknown", "awaiting_approval"):
            await house.tenant_rows(GLOBEX, DIRECTIVE, state)
        dead = "insert into public.job (id, tenant, kind, args, state) values (gen_random_uuid(), $1, 'x', '{}', 'dead')"
        await house.rows(dead, GLOBEX)
        gone = (
            "insert into public.job (id, tenant, kind, args, state, lease_until) values"
            " (gen_random_uuid(), $1, 'x', '{}', 'running', now() - interval '1 hour')"
        )
        await house.rows(gone, GLOBEX)
        mine, theirs, nobody = await asyncio.gather(
            run.ok("doctor", "--org", ACME, "--json"),
            run("doctor", "--org", GLOBEX, "--json"),
            run("doctor", "--org", "nobody", "--json"),
        )
        assert {row["level"] for row in mine.rows if row["org"]} == {"ok"}
        details = {row["detail"] for row in theirs.rows if row["org"] == GLOBEX and row["level"] != "ok"}
        assert details == {
            "1 directive of unknown outcome",
            "1 directive waiting for approval",
            "1 dead letter",
            "1 job left by workers that are gone",
        }
        assert (theirs.code, nobody.code) == (1, 1)
        assert "fleetprompt org list" in nobody.err
