"""What is wrong with a mailbox is said in its health, no credential crosses in clear, and it comes back by itself."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fleetprompt.runtime.trace_find import find_correlation
from fleetprompt.sandbox.mailbox.records import PASSWORD as BRIDGE_PASSWORD
from tests.connected import until
from tests.house import ACME
from tests.mail_stage import FLEET
from tests.mailed import Post, hearing, post_office, serving


async def health(post: Post, state: str) -> Any:
    """The health's row, once it is in this state."""

    async def there() -> Any:
        rows = await post.rows("select * from installation_health where state = $1", state)
        return rows[0] if rows else None

    return await until(there, 30)


@pytest.mark.parametrize(
    "fault", ["imap_other_certificate", "imap_strip_starttls", "imap_inject", "imap_preauth"]
)
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
    assert red["remedy"]
    assert told["installation_id"] == red["installation_id"]
    clear = post.server.plain_bytes()
    assert BRIDGE_PASSWORD.encode() not in clear
    assert base64.b64encode(f"\0{FLEET}\0{BRIDGE_PASSWORD}".encode()) not in clear


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
