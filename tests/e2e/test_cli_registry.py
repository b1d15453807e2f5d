"""The registry on the command line: browse, look at, withdraw, lint, sign."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.command_line import CommandLine, is_one_line
from tests.database import fresh_database
from tests.house import bare_house
from tests.manifests import VALID, key_file, line_of, put

OFFLINE = CommandLine({"FLEETPROMPT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"})
"""Linting and signing need no database."""


async def test_packages_are_found_and_told_in_full() -> None:
    async with fresh_database() as url:  # the first command of a new database publishes
        run = CommandLine.on(url)
        await run.ok("package", "search")
        every, mail, nothing, told, info = await asyncio.gather(
            run.ok("package", "search", "--json"),
            run.ok("package", "search", "bridge mail", "--json"),
            run.ok("package", "search", "no such thing"),
            run.ok("package", "info", "starter-agent"),
            run.ok("package", "info", "mattermost@1.0.0", "--json"),
        )
    installable = {row["package"]: row["installable"] for row in every.rows}
    assert set(installable) == {"mattermost", "proton-mail", "starter-agent", "webhook"}
    assert installable == {"mattermost": True, "proton-mail": True, "starter-agent": True, "webhook": False}
    assert mail.row["package"] == "proton-mail"
    assert "No package speaks of" in nothing.out
    assert told.out.index("mattermost 1.0.0") < told.out.index(
        "starter-agent 1.0.0\n"
    )  # the plan, in its order
    assert "not installable yet" not in told.out
    assert (info.row["plan"], info.row["problem"]) == (["mattermost 1.0.0"], None)
    assert info.row["config"]["schema"]["required"] == ["server_url"]
    assert [one["key"] for one in info.row["credentials"] if one["required"]] == ["bot_token"]
    assert [(one["version"], one["state"]) for one in info.row["versions"]] == [("1.0.0", "published")]


async def test_skills_are_listed_and_shown() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        listed, shown, unknown = await asyncio.gather(
            run.ok("skills", "list", "--json"),
            run.ok("skills", "show", "starter-agent/draft-reply", "--json"),
            run("skills", "show", "draft"),
        )
    assert {row["name"] for row in listed.rows} == {"draft-reply", "summarize-thread", "triage-request"}
    assert "ready to send" in shown.row["instructions"]
    assert (unknown.code, is_one_line(unknown.err), "draft-reply" in unknown.err) == (1, True, True)


async def test_a_version_is_withdrawn_with_a_reason_and_that_is_shown() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        silent = await run("package", "yank", "webhook", "0.1.0")
        assert (silent.code, "--reason" in silent.err) == (2, True)
        yanked = await run.ok("package", "yank", "webhook", "0.1.0", "--reason", "It is odd.", "--json")
        assert yanked.row == {
            "package": "webhook",
            "version": "0.1.0",
            "state": "yanked",
            "reason": "It is odd",
        }
        revoked = await run.ok("package", "revoke", "webhook", "0.1.0", "--reason", "It leaks.")
        assert revoked.out == "webhook 0.1.0 is revoked: It leaks.\n"
        info, searched, refused, unknown = await asyncio.gather(
            run.ok("package", "info", "webhook", "--json"),
            run.ok("package", "search", "webhook", "--json"),
            run("package", "install", "webhook", "--org", "acme"),
            run("package", "revoke", "webhook", "0.2.0", "--reason", "x"),
        )
    assert (info.row["state"], info.row["reason"]) == ("revoked", "It leaks")
    assert "is revoked: It leaks" in info.row["problem"]
    assert searched.row["state"] == "revoked"
    for said in (refused, unknown):
        assert (said.code, is_one_line(said.err)) == (1, True)
    assert "Did you mean: 0.1.0?" in unknown.err


async def test_what_cannot_be_installed_says_why_and_what_is_near() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        await run.ok("org", "create", "acme")
        org = ("--org", "acme")
        absent, misspelt, version = await asyncio.gather(
            run("package", "install", "webhook", *org),
            run("package", "install", "proton-mial", *org),
            run("package", "install", "mattermost@2.0.0", *org),
        )
        for said in (absent, misspelt, version):
            assert (said.code, is_one_line(said.err)) == (1, True), said
    assert "webhook 0.1.0 is not installable yet" in absent.err
    assert "Did you mean: proton-mail?" in misspelt.err
    assert "no version '2.0.0' of mattermost" in version.err


async def test_lint_tells_each_fault_with_its_place_and_exits_one(tmp_path: Path) -> None:
    text = VALID.replace("risk: low", "risk: none").replace("slug: greeter", "slug: grееter")
    path = put(tmp_path, text)
    told, listed = await asyncio.gather(
        OFFLINE("package", "lint", str(tmp_path)), OFFLINE("package", "lint", str(path), "--json")
    )
    assert (told.code, listed.code) == (1, 1)
    assert told.out.startswith(f"{path}:1: slug: It holds CYRILLIC SMALL LETTER IE")
    assert [(row["line"], row["path"]) for row in listed.rows] == [
        (1, "slug"),
        (line_of(text, "risk:"), "permissions[0].risk"),
    ]
    put(tmp_path)
    fine = await OFFLINE.ok("package", "lint", str(tmp_path))
    assert fine.out == "1 manifest is without fault.\n"
    nothing = await OFFLINE("package", "lint", str(tmp_path / "none"))
    assert nothing.code == 2


async def test_a_terminal_is_not_driven_by_a_manifest(tmp_path: Path) -> None:
    path = put(tmp_path, VALID.replace("kind: agent", 'kind: "\\e[2J"'))
    said = await OFFLINE("package", "lint", str(path))
    assert (said.code, "\x1b" in said.out) == (1, False)


async def test_sign_writes_beside_each_manifest_and_says_the_public_key(tmp_path: Path) -> None:
    path, key = put(tmp_path / "all"), key_file(tmp_path, Ed25519PrivateKey.generate())
    sign = ("package", "sign", str(tmp_path / "all"), "--key", str(key))
    signed = await OFFLINE.ok(*sign)
    assert signed.out.startswith("greeter 1.0.0: sha256:")
    assert "Public key: " in signed.out
    assert key.read_text() not in signed.out
    assert path.with_name("1.0.0.sig.json").is_file()
    put(tmp_path / "all", VALID.replace("Says hello.", "Says yes.", 1))
    changed = await OFFLINE(*sign)
    assert (changed.code, is_one_line(changed.err), "--replace" in changed.err) == (1, True, True)
    await OFFLINE.ok(*sign, "--replace")
    put(tmp_path / "all", VALID.replace("kind: agent", "kind: odd"))
    faulty = await OFFLINE(*sign, "--replace")
    assert (faulty.code, faulty.out, "kind" in faulty.err) == (1, "", True)
