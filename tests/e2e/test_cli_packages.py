"""Packages on the command line, against a sandbox Mattermost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, House, fresh_house

STATUS = {
    "installation_id", "package", "name", "version", "state", "error", "account", "server_version", "config",
    "generation", "is_listened_to", "waiting", "stuck", "connection", "since", "last_event_at", "backlog", "last_error",
    "last_error_code", "last_error_at", "remedy", "blocked_until", "error_code", "missing", "blocked", "grants",
    "addresses", "value", "stale",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A server with a bot account, two tenants, and the command line with the token in BOT_TOKEN."""

    house: House
    chat: SandboxMattermost
    run: CommandLine
    token: str

    @property
    def install(self) -> tuple[str, ...]:
        """All but the secret and the organization."""
        return (
            "package",
            "install",
            "mattermost",
            "--set",
            f"server_url={self.chat.url}",
            "--set",
            "team=acme",
        )

    @property
    def env_secret(self) -> tuple[str, str]:
        return ("--secret", "bot_token=env:BOT_TOKEN")


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with fresh_house() as house, SandboxMattermost() as chat:
        bot = chat.create_user("fleet", is_bot=True)
        chat.add_to_team(bot, chat.create_team("acme"))
        yield Scene(house, chat, CommandLine.on(house.url, BOT_TOKEN=bot.token), bot.token)


async def test_an_installation_from_first_to_last() -> None:
    async with scene() as here:
        run, org = here.run, ("--org", "acme")
        installed = await run.ok(*here.install, *org, *here.env_secret, "--json")
        assert installed.row["state"] == "succeeded"
        assert installed.row["receipt"]["account"]["name"] == "fleet"
        again = await run.ok(*here.install, *org, *here.env_secret, "--json")
        assert again.row["directive_id"] == installed.row["directive_id"]
        tested, status = await asyncio.gather(
            run.ok("package", "test", "mattermost", *org, "--json"),
            run.ok("package", "status", *org, "--json"),
        )
        assert all(set(row) == {"name", "ok", "detail", "remedy"} and row["ok"] for row in tested.rows)
        assert (set(status.row), status.row["state"], status.row["is_listened_to"]) == (
            STATUS,
            "installed",
            False,
        )
        for verb, state in (("disable", "disabled"), ("enable", "installed")):
            await run.ok("package", verb, "mattermost", *org)
            assert (await run.ok("package", "status", *org, "--json")).row["state"] == state
        changed = ("package", "configure", "mattermost", *org, "--set", "max_posts_per_answer=3")
        dry, newest, former, record = await asyncio.gather(
            run.ok(*changed, "--dry-run"),
            run("package", "upgrade", "mattermost", *org),
            run("package", "rollback", "mattermost", *org),
            run.ok("package", "audit", "mattermost", *org, "--json"),
        )
        assert dry.out == "  max_posts_per_answer: 8 -> 3\n"
        assert (newest.code, "is installed here already" in newest.err) == (1, True)
        assert (former.code, "has no former version here" in former.err) == (1, True)
        assert [(row["what"], row["state"]) for row in record.rows] == [
            ("install", "succeeded"),
            ("disable", "succeeded"),
            ("enable", "succeeded"),
        ]
        await run.ok(*changed, "--set", 'allowed_bots=["buildbot"]')
        config = (await run.ok("package", "status", *org, "--json")).row["config"]
        assert (config["max_posts_per_answer"], config["allowed_bots"]) == (3, ["buildbot"])
        await run.ok("package", "uninstall", "mattermost", *org)
        assert (await run.ok("package", "status", *org, "--json")).rows == []
        assert await here.house.tenant_rows(GLOBEX, "select 1 from installations") == []


async def test_a_secret_comes_from_a_variable_a_file_or_standard_input_and_never_from_an_argument(
    tmp_path: Path,
) -> None:
    async with scene() as here:
        run, install = here.run, (*here.install, "--org", "acme")
        plain, as_setting, unset = await asyncio.gather(
            run(*install, "--secret", f"bot_token={here.token}"),
            run(*install, *here.env_secret, "--set", f"bot_token={here.token}"),
            run(*install, "--secret", "bot_token=env:NO_SUCH_VARIABLE"),
        )
        assert [plain.code, as_setting.code, unset.code] == [2, 1, 1]
        assert "env:VARIABLE" in plain.err
        assert "is a secret, not a setting" in as_setting.err
        assert "NO_SUCH_VARIABLE" in unset.err
        for said in (plain, as_setting, unset):
            assert here.token not in said.out + said.err
        (tmp_path / "token").write_text(here.token + "\n")
        of_file = (*install, "--secret", f"bot_token=file:{tmp_path / 'token'}")
        outside, inside = await run(*of_file), await run(*of_file, FLEETPROMPT_SECRET_DIRS=str(tmp_path))
        assert (outside.code, "FLEETPROMPT_SECRET_DIRS" in outside.err, inside.code) == (1, True, 0)
        by_stdin = await run(
            "package",
            "configure",
            "mattermost",
            "--org",
            "acme",
            "--secret-stdin",
            "bot_token",
            stdin=here.token,
        )
        assert by_stdin.code == 0, by_stdin
        again = await run("package", "reauth", "mattermost", "--org", "acme", "--stdin", stdin=here.token)
        assert (again.code, again.out) == (0, "It works, and mattermost uses it.\n")
        for table in ("signals", "directives", "effects", "installations", "credentials"):
            rows = await here.house.tenant_rows(ACME, f"select t::text from {table} t")
            assert here.token not in "".join(row[0] for row in rows), table


async def test_what_does_not_work_says_why_and_what_to_do() -> None:
    async with scene() as here:
        run, org = here.run, ("--org", "acme")
        refused, unknown, missing, mistyped, absent = await asyncio.gather(
            run(*here.install, *org, *here.env_secret, BOT_TOKEN="wrong"),
            run("package", "install", "matermost", *org),
            run("package", "install", "mattermost", "--org", "globex", *here.env_secret),
            run(
                "package",
                "install",
                "mattermost",
                "--org",
                "globex",
                "--set",
                "server_ulr=x",
                *here.env_secret,
            ),
            run("package", "disable", "proton-mail", "--org", "globex"),
        )
        for said in (refused, unknown, missing, mistyped, absent):
            assert said.code == 1, said
            assert is_one_line(said.err), said
        assert "token" in refused.err
        assert "Did you mean: mattermost?" in unknown.err
        assert "--set server_url=" in missing.err
        assert "server_url" in mistyped.err
        assert "not installed" in absent.err
        status = await run.ok("package", "status", *org)
        assert "needs_config" in status.out


async def test_one_account_answers_for_one_installation_alone() -> None:
    async with scene() as here:
        await here.run.ok(*here.install, "--org", "acme", *here.env_secret)
        other = await here.run(*here.install, "--org", "globex", *here.env_secret)
        assert other.code == 1
        assert "in use" in other.err
        assert "acme" not in other.err


async def test_what_can_be_installed_is_listed_with_its_settings() -> None:
    async with fresh_house() as house:
        listed = await CommandLine.on(house.url).ok("package", "list", "--json")
        mattermost = next(row for row in listed.rows if row["package"] == "mattermost")
        assert mattermost["secrets"][0] == "bot_token"
        assert {"server_url", "team"} <= {setting["name"] for setting in mattermost["settings"]}
