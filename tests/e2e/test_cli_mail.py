"""A mailbox on the command line: installed, tested, its drafts looked at, edited, approved; what was set aside explained."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.sandbox.mailbox.records import PASSWORD as BRIDGE_PASSWORD
from tests import killing, serving
from tests.command_line import CommandLine, is_one_line
from tests.mail_stage import DANA, FLEET, mail, plain_text
from tests.mailed import Post, post_office
from tests.readme import Shell, blocks

ORG = ("--org", "acme")


def by_hand(post: Post, tmp_path: Path, **settings: Any) -> list[str]:
    """The words of the command that installs it."""
    pem = tmp_path / "bridge.pem"
    pem.write_text(post.server.certificate_pem)
    values = {
        "username": FLEET,
        "imap_port": post.server.imap.port,
        "smtp_port": post.server.smtp.port,
        "certificate_file": pem,
        "poll_s": 0.3,
        "look_up_s": 0.3,
        **settings,
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


async def test_mail_from_before_the_install_is_answered_as_far_back_as_was_asked_for(tmp_path: Path) -> None:
    async with post_office() as post:
        post.server.create_account(FLEET)
        for hours in (3, 1):
            raw = mail("help", message_id=f"<{hours}@customer.example>")
            post.server.deliver(FLEET, raw, received_at_s=time.time() - hours * 3600)
        run = CommandLine.on(post.base.url, BRIDGE=BRIDGE_PASSWORD)
        words = (*by_hand(post, tmp_path), "--secret", "bridge_password=env:BRIDGE", "--since", "2h")
        await run.ok("package", "install", "proton-mail", *ORG, *words)
        with killing.running(serving.serve, post.base.url, None):
            draft = await post.directive("awaiting_approval")
            await post.quiet()
        drafts = await post.rows("select 1 from directives where name = 'email.send'")
        (asked,) = await post.rows("select payload from signals where id::text = $1", answered(draft))
    assert len(drafts) == 1
    assert json.loads(asked["payload"])["rfc_message_id"] == "<1@customer.example>"


def answered(draft: Any) -> str:
    """The signal of the mail that a draft answers."""
    return str(json.loads(draft["arguments"])["answers"])


async def test_a_mailbox_is_installed_and_tested_line_by_line(tmp_path: Path) -> None:
    async with post_office() as post:
        post.server.create_account(FLEET, aliases=["sales@acme.example"])
        run = CommandLine.on(post.base.url, BRIDGE=BRIDGE_PASSWORD, WRONG="wrong")
        words = by_hand(post, tmp_path, addresses="sales@acme.example,gone@acme.example")
        refused = await run(
            "package", "install", "proton-mail", *ORG, *words, "--secret", "bridge_password=env:WRONG"
        )
        done = await run.ok(
            "package",
            "install",
            "proton-mail",
            *ORG,
            *words,
            "--secret",
            "bridge_password=env:BRIDGE",
            "--json",
        )
        (tmp_path / "bridge.pem").unlink()  # it was read once
        for subject in ("one", "two"):
            post.writes(subject=subject)
        tested = await run("package", "test", "proton-mail", *ORG, "--json")
    assert refused.code == 1
    assert "login was refused" in refused.err
    assert done.row["state"] == "succeeded"
    lines = {row["name"]: row["ok"] for row in tested.rows}
    assert lines == {
        "settings": True,
        "imap": True,
        "folder INBOX": True,
        "folder Sent": True,
        "smtp": True,
        f"sender {FLEET}": True,
        "sender sales@acme.example": True,
        "sender gone@acme.example": False,
    }
    said = {row["name"]: row["detail"] for row in tested.rows}
    assert "logs in over TLS with the pinned certificate" in said["imap"]
    assert "logs in over TLS with the pinned certificate" in said["smtp"]
    assert "the certificate can be read" in said["settings"]
    assert said["folder INBOX"] == "is read; 2 mail(s) were ever filed in it"
    assert said["folder Sent"] == "is searched for what was sent; 0 mail(s) were ever filed in it"


async def test_a_draft_is_shown_edited_and_approved(tmp_path: Path) -> None:
    async with post_office() as post:
        await post.install()
        run, text = CommandLine.on(post.base.url), tmp_path / "answer.md"
        text.write_text("Dear Dana, it *will* be there tomorrow.")
        with killing.running(serving.serve, post.base.url, None):
            post.writes("help")
            draft = str((await post.directive("awaiting_approval"))["id"])
            shown = await run.ok("directives", "show", draft, *ORG)
            told = await run.ok("directives", "show", draft, *ORG, "--json")
            edited = await run.ok("directives", "edit", draft, *ORG, "--file", str(text), "--json")
            both = await run("directives", "edit", draft, *ORG, "--file", str(text), "--text", "x")
            await run.ok("directives", "approve", draft, *ORG)
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            late = await run("directives", "edit", draft, *ORG, "--text", "too late")
    assert f"To:      {DANA}" in shown.out
    assert told.row["preview"].startswith(f"From:    {FLEET}")
    assert edited.row["state"] == "awaiting_approval"
    assert (both.code, late.code, is_one_line(late.err)) == (2, 1, True)
    assert plain_text(sent.raw) == "Dear Dana, it *will* be there tomorrow."


async def test_what_was_set_aside_is_explained_and_can_be_saved(tmp_path: Path) -> None:
    async with post_office() as post:
        await post.install()
        raw = (
            b"Subject: deep\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            + b"--b\r\n\r\nx\r\n" * 2_000
        )
        post.server.deliver(FLEET, raw, with_internal_id=False)
        run, saved = CommandLine.on(post.base.url), tmp_path / "mail.eml"
        with killing.running(serving.serve, post.base.url, None):
            (signal,) = await post.signals("email.inbound.quarantined")
        shown = await run.ok("signals", "show", str(signal["id"]), *ORG)
        await run.ok("mail", "raw", str(signal["id"]), *ORG, "--to", str(saved))
        again = await run("mail", "raw", str(signal["id"]), *ORG, "--to", str(saved))
    assert "It cannot be read" in shown.out
    assert saved.read_bytes() == raw
    assert again.code == 1


async def test_suppressed_addresses_are_listed_and_restored() -> None:
    async with post_office() as post:
        await post.rows("insert into mail_suppressed (address, reason) values ($1, 'bounced 5.1.1')", DANA)
        run = CommandLine.on(post.base.url)
        listed = await run.ok("mail", "suppressed", "list", *ORG, "--json")
        elsewhere = await run.ok("mail", "suppressed", "list", "--org", "globex", "--json")
        await run.ok("mail", "suppressed", "restore", DANA.upper(), *ORG)
        again = await run("mail", "suppressed", "restore", DANA, *ORG)
        (told,) = await post.signals("email.address.restored")
    assert [(row["address"], row["reason"]) for row in listed.rows] == [(DANA, "bounced 5.1.1")]
    assert (elsewhere.rows, again.code) == ([], 1)
    assert told["actor_kind"] == "human"


@pytest.mark.slow
async def test_the_readme_connects_a_mailbox(tmp_path: Path) -> None:
    """Its block as it stands, but for where Bridge is."""
    async with post_office() as post:
        post.server.create_account("support@example.com")
        (tmp_path / "cert.pem").write_text(post.server.certificate_pem)
        instead = {
            "BRIDGE_PASSWORD=...": f"BRIDGE_PASSWORD={BRIDGE_PASSWORD}",
            "--set username": f"--set imap_port={post.server.imap.port} --set smtp_port={post.server.smtp.port}"
            " --set username",
        }
        shell = Shell.opened(tmp_path, CommandLine.on(post.base.url), instead)
        [connect] = blocks("Connect a real mailbox")
        with killing.running(serving.serve, post.base.url, None):
            said = await shell.ok(connect)
            post.writes("help", to="support@example.com")
            await post.directive("awaiting_approval")
    assert "fail" not in said.out
    assert "ok    sender support@example.com: may send" in said.out
