"""Copies that a mail was sent without are told also where its sending was not seen to end."""

from __future__ import annotations

import json
from typing import Any

from tests import killing
from tests.connected import until
from tests.mail_stage import DANA
from tests.mailed import Post, post_office, serving
from tests.serving import serve

COLLEAGUE = "colleague@customer.example"
SUPPRESS = "insert into mail_suppressed (address, reason) values ($1, 'bounced 5.1.1')"


async def test_a_mail_that_is_found_in_sent_tells_whom_it_was_not_sent_to() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all", retry_delay_s="2")
        async with serving(post):
            await _is_frozen(post)
            post.server.arm("smtp_drop_after_data")
            await post.mails(1)
            await _told_without_the_colleague(post)


async def test_a_mail_whose_sender_died_tells_whom_it_was_not_sent_to() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all", retry_delay_s="2")
        async with serving(post):
            await _is_frozen(post)
        await killing.dies(serve, post.base.url, None, fault="effect.performed")
        with killing.running(serve, post.base.url, None):
            await _told_without_the_colleague(post)


async def _is_frozen(post: Post) -> None:
    """It is to go to both; its first try failed; then the copy's address died."""
    post.server.arm("smtp_fail_mail")
    post.writes("help", headers=[f"Cc: {COLLEAGUE}"])
    await until(lambda: post.rows("select 1 from directives where failures = 1"), 30)
    await post.rows(SUPPRESS, COLLEAGUE)


async def _told_without_the_colleague(post: Post) -> None:
    done = await post.directive("succeeded")
    (signal,) = await post.signals("email.sent")
    (receipt,) = json.loads(done["result"])["receipts"]
    told: dict[str, Any] = json.loads(signal["payload"])
    (sent,) = post.sent()
    assert sent.recipients == (DANA,)
    assert (receipt["found"], receipt["left_out"]) == (True, [COLLEAGUE])
    assert (told["to"], told["cc"], told["left_out"], told["found"]) == ([DANA], [], [COLLEAGUE], True)
