"""Every odd mail of the corpus ends as a signal or a visible quarantine, with its bytes; none is lost, none stops the line."""

from __future__ import annotations

import pytest

from tests.connected import until
from tests.mail_corpus import corpus
from tests.mail_stage import FLEET
from tests.mailed import hearing, post_office


@pytest.mark.timeout(300)
async def test_every_odd_mail_is_a_fact_with_its_bytes() -> None:
    mails = dict(corpus())
    async with post_office() as post:
        post.server.create_account(FLEET)
        kept = {post.server.deliver(FLEET, raw).raw for raw in mails.values()}
        await post.install()
        async with hearing(post):
            query = "select 1 from signals where name like 'email.inbound.%' or name like '%.unreadable'"

            async def all_there() -> bool:
                return len(await post.rows(query)) == len(mails)

            await until(all_there, 240)
        stored = await post.rows(
            "select string_agg(body, '' order by number) as raw from mail_chunks group by signal_id"
        )
        unreadable = await post.rows(
            "select payload from signals where name = 'integration.event.unreadable'"
        )
        reasons = await post.rows("select payload from signals where name = 'email.inbound.quarantined'")
    assert len(mails) >= 500
    assert unreadable == []
    assert {row["raw"] for row in stored} == {raw for raw in kept if raw}
    assert reasons
