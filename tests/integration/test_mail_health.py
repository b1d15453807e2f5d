"""What is wrong with a mailbox is said in its health, no credential crosses in clear, and it comes back by itself."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from fleetprompt.connectors import health as connection
from fleetprompt.doctor.work import judge_installation
from fleetprompt.packages.look import Status, check_installation, status
from fleetprompt.runtime.trace_find import find_correlation
from fleetprompt.sandbox.mailbox.records import PASSWORD as BRIDGE_PASSWORD
from tests.connected import until
from tests.house import ACME
from tests.integration.test_proton_mail_privacy import IMAP as IMAP_FAULTS
from tests.mail_stage import FLEET
from tests.mailed import Post, hearing, post_office, serving


async def health(post: Post, state: str) -> Any:
    """The health's row, once it is in this state."""

    async def there() -> Any:
        rows = await post.rows("select * from installation_health where state = $1", state)
        return rows[0] if rows else None

    return await until(there, 30)


async def sending_fault(post: Post) -> Any:
    """The health's row, once sending fails for a reason that a person must mend."""

    async def there() -> Any:
        rows = await post.rows("select * from installation_health where sending_error_code is not null")
        return rows[0] if rows else None

    return await until(there, 30)


async def receiving_is_well(post: Post) -> None:
    """A mail comes in, and the receiving side writes after it that it is connected."""
    written = (await post.rows("select clock_timestamp() as now"))[0]["now"]
    post.writes("hello", headers=["List-Id: <news.example>"])

    async def there() -> Any:
        well = "select 1 from installation_health where state = 'connected' and last_event_at > $1"
        return await post.rows(well, written)

    await until(there, 30)


async def shown(post: Post) -> Status:
    """What an operator sees."""
    (one,) = await status(post.house, ACME)
    return one


async def _sent_when_hurried(post: Post) -> bool:
    await post.base.rows(
        "update public.job set scheduled_at = now() where scheduled_at > now() + interval '30 s'"
    )
    return bool(post.sent())


def assert_no_credential_in(clear: bytes) -> None:
    assert BRIDGE_PASSWORD.encode() not in clear
    assert base64.b64encode(f"\0{FLEET}\0{BRIDGE_PASSWORD}".encode()) not in clear


@pytest.fixture
def quick_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiving side writes at once."""
    monkeypatch.setattr(connection, "QUIET_WRITE_S", 0.2)


@pytest.mark.parametrize("fault", IMAP_FAULTS)
async def test_a_connection_that_is_not_private_turns_health_red_and_no_credential_crosses(
    fault: str,
) -> None:
    async with post_office() as post:
        await post.install()
        post.server.arm(fault, 50)
        async with hearing(post):
            red = await health(post, "error")
        (told,) = await post.signals("integration.error")
    assert red["last_error_code"] == "misconfigured"
    assert red["last_error"].startswith("imap: ")
    assert IMAP_FAULTS[fault] in red["last_error"]
    assert red["remedy"]
    assert told["installation_id"] == red["installation_id"]
    assert_no_credential_in(post.server.plain_bytes())


SMTP_FAULTS = {
    "smtp_strip_starttls": "STARTTLS is not offered",
    "smtp_inject": "plain bytes stood behind the STARTTLS answer",
    "smtp_other_certificate": "certificate",
}


@pytest.mark.parametrize("fault", SMTP_FAULTS)
async def test_sending_that_is_not_private_turns_health_red_and_says_why(
    fault: str, quick_health: None
) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm(fault, 50)
        async with serving(post):
            post.writes("help")
            red = await sending_fault(post)
            await receiving_is_well(post)
            seen = await shown(post)
        (told,) = await post.signals("integration.error")
    why = str(seen.last_error)
    assert (seen.connection, seen.last_error_code) == ("error", "misconfigured")
    assert why.startswith("smtp: ")
    assert SMTP_FAULTS[fault] in why
    assert seen.remedy == red["sending_remedy"]
    assert "fleetprompt package test proton-mail --org acme" in str(seen.remedy)
    found = judge_installation(seen, "acme")
    assert (found.level, found.detail) == ("fail", f"needs you: {why}")
    assert json.loads(told["payload"])["error"] == why
    assert not post.server.submissions
    assert_no_credential_in(post.server.plain_bytes())


async def test_a_password_that_smtp_refuses_is_told_once_and_over_with_the_next_mail() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm("smtp_refuse_login", 2)
        async with serving(post):
            post.writes("help")
            await sending_fault(post)
            seen = await shown(post)
            assert (seen.connection, seen.last_error_code) == ("error", "credential_refused")
            assert "fleetprompt package reauth proton-mail --org acme" in str(seen.remedy)
            await until(lambda: _sent_when_hurried(post), 30)  # refused once more, then taken
            await post.quiet()
            seen = await shown(post)
        assert (seen.connection, seen.remedy) == ("connected", None)
        assert len(await post.signals("integration.error")) == 1


async def test_a_package_test_that_succeeds_ends_it_and_one_that_fails_does_not(quick_health: None) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm("smtp_strip_starttls")
        async with serving(post):
            await health(post, "connected")
            post.writes("help")
            await sending_fault(post)
            post.server.arm("smtp_strip_starttls")
            tested = []
            for _ in range(2):
                lines = await check_installation(post.house, ACME, "proton-mail")
                tested.append((all(line.ok for line in lines), (await shown(post)).connection))
    assert tested == [(False, "error"), (True, "connected")]


async def test_a_cut_connection_comes_back_and_what_came_meanwhile_is_answered() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            await health(post, "connected")
            post.server.arm("imap_cut_in_idle")
            post.writes("help", subject="one")
            post.server.arm("imap_cut_in_fetch")
            post.writes("help", subject="two")
            await post.mails(2)
            post.server.cut_connections()
            post.writes("help", subject="three")
            await post.mails(3)
            await health(post, "connected")
            await post.quiet()
    assert len(post.server.submissions) == 3


async def test_a_trace_begins_at_the_message_id() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            asked = post.writes("help")
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
        roots = {await find_correlation(post.house.tenancy, ACME, one) for one in (asked, sent.message_id)}
    assert len(roots) == 1


async def test_a_host_without_room_for_the_parser_is_told_of_and_the_mail_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_room(*_: Any, **__: Any) -> Any:
        raise BlockingIOError("Resource temporarily unavailable")

    async with post_office() as post:
        await post.install()
        post.writes("Where is my order?")
        monkeypatch.setattr(asyncio, "create_subprocess_exec", no_room)
        async with hearing(post):

            async def told() -> Any:
                return await post.rows("select * from installation_health where last_error is not null")

            (row,) = await until(told, 30)
            seen = await shown(post)
            assert not await post.rows("select 1 from signals where name like 'email.%'")
            monkeypatch.undo()
            (mail,) = await post.signals("email.inbound.received")
            await health(post, "connected")
    assert "no process could be started to read mails (BlockingIOError)" in row["last_error"]
    assert "memory" in str(seen.remedy)
    assert json.loads(mail["payload"])["text"].strip() == "Where is my order?"
