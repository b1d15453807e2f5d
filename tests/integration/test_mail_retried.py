"""A mail that came back and is retried leaves once more: Bridge says 250 to the same bytes for half an hour and drops them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import killing
from tests.connected import until
from tests.integration.test_mail_bounces import bounce
from tests.integration.test_mail_drafts import decided
from tests.mail_stage import DANA
from tests.mailed import Post, post_office, serving
from tests.serving import serve

WINDOW_S = 31 * 60


async def test_nothing_is_sent_to_a_suppressed_address_until_it_is_restored() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await post.rows("insert into mail_suppressed (address, reason) values ($1, 'test')", DANA)
            await decided(post, "approve", draft["id"])
            refused = await post.directive("failed")
            assert (refused["error_code"], post.server.submissions) == ("suppressed", [])
            assert "fleetprompt mail suppressed restore" in refused["error"]
            await post.rows("delete from mail_suppressed")
            await decided(post, "retry", draft["id"])
            await post.mails(1)
            await post.directive("succeeded")


async def test_a_retry_of_what_came_back_waits_until_bridge_has_forgotten_it_and_leaves_then() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            await _comes_back(post)
            await _retries(post)
            waiting = await _held_back(post)
            assert 29 * 60 < (await _wait_s(post)) <= WINDOW_S
            assert (len(post.server.submissions), waiting["failures"]) == (1, 0)
            post.server.skip(WINDOW_S)
            await _half_an_hour_passes(post)
            await post.mails(2)
            done = await post.directive("succeeded")
            told = await post.signals("email.sent", 2)
            await post.quiet()
    first, again = post.sent()
    assert (first.raw, first.message_id) == (again.raw, again.message_id)
    assert json.loads(done["result"])["receipts"][0]["found"] is False
    assert len(told) == len(post.server.submissions) == 2


@pytest.mark.parametrize("fault", ["smtp_drop_before_sending", "smtp_drop_after_data", "smtp_fail_data"])
async def test_the_copy_of_the_first_time_is_not_taken_for_that_of_a_retry(fault: str) -> None:
    """The retry's connection is lost, before the mail left or after it; or Bridge refuses the mail at its last line."""
    async with post_office() as post:
        await post.install(policy="send")
        post.server.skip(-WINDOW_S)  # what is sent now was sent half an hour ago
        async with serving(post):
            await _comes_back(post)
            post.server.skip(WINDOW_S)
            post.server.arm(fault)
            await _retries(post)
            await _held_back(post)
            await _half_an_hour_passes(post)
            await post.directive("succeeded")
            await post.quiet()
    assert len(post.sent()) == 2


async def test_a_retry_whose_worker_dies_before_it_hands_the_mail_over_leaves_all_the_same() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            await _comes_back(post)
        await _retries(post)
        await killing.dies(serve, post.base.url, None, fault="effect.recorded_sending")
        await post.base.rows("update public.job set lease_until = now() where state = 'running'")
        async with serving(post):
            await until(lambda: _waiting(post), 30)
            assert len(post.server.submissions) == 1
            post.server.skip(WINDOW_S)
            await _half_an_hour_passes(post)
            await post.directive("succeeded")
            await post.quiet()
    assert len(post.sent()) == 2


async def _comes_back(post: Post) -> None:
    """A mail is answered, the answer bounces, and its address is restored."""
    post.writes("help")
    (sent,) = await post.mails(1)
    await post.directive("succeeded")
    bounce(post, sent.message_id)
    await post.directive("failed")
    await post.quiet()
    await post.rows("delete from mail_suppressed")


async def _retries(post: Post) -> None:
    failed = await post.directive("failed")
    await decided(post, "retry", failed["id"])


async def _held_back(post: Post) -> Any:
    query = "select * from directives where error_code = 'duplicate_window' and state = 'requested'"
    (waiting,) = await until(lambda: post.rows(query), 30)
    await until(lambda: _waiting(post), 30)
    return waiting


async def _waiting(post: Post) -> Any:
    """Its job, put off."""
    return await post.base.rows(
        "select extract(epoch from scheduled_at - now())::float8 as wait_s from public.job"
        " where kind = 'directive.run' and scheduled_at > now() + interval '60 s'"
    )


async def _wait_s(post: Post) -> float:
    return float((await _waiting(post))[0]["wait_s"])


async def _half_an_hour_passes(post: Post) -> None:
    """For us; the sandbox has a clock of its own."""
    await post.rows("update effects set finished_at = finished_at - make_interval(secs => $1)", WINDOW_S)
    await post.base.rows("update public.job set scheduled_at = now() where kind = 'directive.run'")
