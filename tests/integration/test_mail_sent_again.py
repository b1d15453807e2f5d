"""A mail that is sent again is the same to the byte; one that must not leave does not; our own limits hold a day too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from fleetprompt.connectors.proton_mail.allowance import wait_for_allowance_s
from fleetprompt.connectors.proton_mail.deliver import JITTER
from fleetprompt.model import Installation
from fleetprompt.runtime.directives import NewDirective, request
from tests.connected import OPERATOR, until
from tests.house import ACME
from tests.mail_stage import DANA
from tests.mailed import Post, post_office, serving


async def test_a_mail_whose_fate_is_unknown_is_sent_again_as_the_very_same_bytes() -> None:
    """Bridge filed it where nobody looks, so that it is handed over again, a second later: Bridge knows it by its parts."""
    async with post_office() as post:
        await post.install(policy="send", sent_folder="Archive", look_up_s="1.2")
        post.server.arm("smtp_drop_after_data")
        async with serving(post):
            post.writes("help")
            await post.directive("succeeded")
            await post.quiet()
    first, again = post.server.submissions
    assert first.raw == again.raw
    assert (first.sent is None, again.sent is None) == (False, True)


async def test_after_a_refusal_the_next_try_waits_longer_each_time() -> None:
    async with post_office() as post:
        await post.install(policy="send", retry_delay_s="20")
        post.server.arm("smtp_fail_mail", 2)
        waits = list[float]()
        async with serving(post):
            post.writes("help")
            for failures in (1, 2):
                waits.append(await _waits_after(post, failures))
                await post.base.rows("update public.job set scheduled_at = now()")
            await post.mails(1)
    assert 19 < waits[0] <= 20 * JITTER
    assert 79 < waits[1] <= 80 * JITTER


@pytest.mark.parametrize(
    "changes", [{"to": ["eve@elsewhere.example"]}, {"cc": [DANA, "eve@elsewhere.example"]}]
)
async def test_nobody_who_takes_no_part_in_the_thread_is_written_to(changes: Mapping[str, Any]) -> None:
    """Whoever asked for it: the directive's arguments are not believed."""
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await _asks(post, {**json.loads(draft["arguments"]), **changes}, draft["installation_id"])
            failed = await post.directive("failed", nth=1)
            await post.quiet()
    assert failed["error_code"] == "not_of_the_thread"
    assert post.server.submissions == []


async def test_a_mailbox_does_not_answer_what_another_one_got() -> None:
    async with post_office() as post:
        await post.install()
        other = await post.install("sales@acme.example", name="sales")
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await _asks(post, json.loads(draft["arguments"]), other.id)
            failed = await post.directive("failed", nth=1)
    assert failed["error_code"] == "not_of_the_thread"
    assert post.server.submissions == []


@pytest.mark.parametrize(
    ("sent", "ago", "has_room"),
    [
        (39, "1 minute", True),
        (40, "1 minute", False),
        (40, "61 minutes", True),
        (139, "23 hours", True),
        (140, "23 hours", False),
        (140, "25 hours", True),
    ],
)
async def test_unless_it_is_set_otherwise_an_hour_has_forty_mails_and_a_day_a_hundred_and_forty(
    sent: int, ago: str, has_room: bool
) -> None:
    async with post_office() as post:
        installation = await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            await post.directive("succeeded")
        await post.rows(COPIES, sent - 1)
        await post.rows(f"update effects set finished_at = now() - interval '{ago}'")
        for config in (installation.config, {}):
            async with post.house.tenancy.session(ACME) as session:
                plain = Installation(id=installation.id, config=config)
                wait_s = await wait_for_allowance_s(session, plain, uuid4())
            assert (wait_s == 0) is has_room


COPIES = """
insert into effects select (jsonb_populate_record(e, jsonb_build_object(
    'id', gen_random_uuid(), 'part', n, 'key', e.key || '.' || n))).*
from effects e join directives d on d.id = e.directive_id, generate_series(1, $1) n where d.name = 'email.send'
"""


async def _waits_after(post: Post, failures: int) -> float:
    """Seconds until its next try, once it was refused so often."""
    query = "select 1 from directives where name = 'email.send' and failures = $1 and state = 'requested'"
    await until(lambda: post.rows(query, failures), 30)

    async def waits() -> Any:
        return await post.base.rows(
            "select extract(epoch from scheduled_at - now())::float8 as wait_s from public.job"
            " where kind = 'directive.run' and scheduled_at > now() + interval '5 s'"
        )

    return float((await until(waits, 30))[0]["wait_s"])


async def _asks(post: Post, arguments: Mapping[str, Any], installation_id: Any) -> None:
    async with post.house.tenancy.session(ACME) as session:
        new = NewDirective(
            "email.send", "forged", arguments, "A test.", OPERATOR, installation_id=installation_id
        )
        await request(session, post.house.registry, new)
