"""A batch of mails is stored at once: what its mails begin is begun once, and what is there already is found."""

from __future__ import annotations

import json

from fleetprompt.tenancy.slugs import role_name
from tests.house import ACME
from tests.mailed import FLEET, Post, hearing, post_office

RECEIVED = "email.inbound.received"


async def test_a_thread_that_comes_in_one_batch_is_one_conversation() -> None:
    async with post_office() as post:
        await post.install()
        root = post.writes("Where is my order?")
        for number in range(3):
            post.writes(f"Hello? ({number})", headers=[f"In-Reply-To: {root}", f"References: {root}"])
        other = post.writes("Something else.")
        async with hearing(post):
            signals = await post.signals(RECEIVED, 5)
        thread, alone = {row["conversation_id"] for row in signals[:4]}, signals[4]["conversation_id"]
        assert len(thread) == 1
        assert alone not in thread
        kept = await post.rows("select conversation_id, external_id from messages")
        assert {row["conversation_id"] for row in kept if row["external_id"] != other} == thread
        assert {row["id"] for row in await post.rows("select id from conversations")} == thread | {alone}
        await post.nothing_at_globex()


async def _deleted_by_hand(post: Post) -> None:
    """By a person whose search path is not the organization's."""
    connection = await post.base.database.connect_raw()
    try:
        await connection.execute(f"set role {role_name(ACME)}")
        await connection.execute(f"delete from org_acme.signals where name = '{RECEIVED}'")
    finally:
        await connection.close()


async def test_a_mail_told_again_after_its_fact_went_is_known_and_its_thread_goes_on() -> None:
    async with post_office() as post:
        await post.install()
        root = post.writes("Where is my order?")
        async with hearing(post):
            [first] = await post.signals(RECEIVED)
        await _deleted_by_hand(post)
        post.server.rebuild(FLEET)
        post.writes("Hello?", headers=[f"In-Reply-To: {root}", f"References: {root}"])
        async with hearing(post):
            [second] = await post.signals(RECEIVED)
        assert json.loads(second["payload"])["text"] == "Hello?"
        assert second["conversation_id"] == first["conversation_id"]
        assert len(await post.rows("select 1 from conversations")) == 1
        assert len(await post.rows("select 1 from messages")) == 2


async def test_a_mail_of_which_nothing_but_its_conversation_is_left_stays_in_it() -> None:
    """As after a restore of an older back-up, where nothing says that it was told."""
    async with post_office() as post:
        await post.install()
        post.writes("Where is my order?")
        async with hearing(post):
            [first] = await post.signals(RECEIVED)
        await post.rows("delete from signals where name = $1", RECEIVED)
        await post.rows("delete from mail_known")
        post.server.rebuild(FLEET)
        async with hearing(post):
            [again] = await post.signals(RECEIVED)
        assert again["id"] != first["id"]
        assert again["conversation_id"] == first["conversation_id"]
        [named] = await post.rows("select distinct conversation_id from mail_names")
        assert named["conversation_id"] == first["conversation_id"]
        assert len(await post.rows("select 1 from conversations")) == 1
