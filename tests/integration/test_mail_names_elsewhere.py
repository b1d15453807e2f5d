"""What acme's threads are called by says nothing in globex's mailbox, though it is said by one of their people."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fleetprompt.kernel.ids import TenantSlug
from tests.house import ACME, GLOBEX
from tests.mail_stage import FLEET, mail
from tests.mailed import Post, post_office, read, serving

ELSEWHERE = "fleet@globex.example"
KEPT = ("signals", "conversations", "messages", "mail_names", "mail_participants", "executions", "directives")


async def kept(post: Post) -> dict[str, list[str]]:
    """All that acme has of its mails."""
    return {
        table: [
            row["told"]
            for row in await post.rows(f"select to_jsonb(t)::text as told from {table} t order by 1")
        ]
        for table in KEPT
    }


async def threaded_by(post: Post, count: int, tenant: TenantSlug) -> Any:
    """By what the latest of so many mails was attached."""
    told = await post.signals("email.inbound.received", count, tenant=tenant)
    return json.loads(told[-1]["payload"])["threaded_by"]


async def names_of_a_thread(post: Post) -> dict[str, bytes]:
    """By what -> a mail that names acme's thread by that alone."""
    asked = post.server.deliver(FLEET, mail("help"))
    (answer,) = await post.mails(1)
    token = re.search(r"\[#([a-z2-7]{16})\]$", str(read(answer.raw)["Subject"]))
    assert token
    named = f"References: <{asked.id}==@protonmail.internalid>"
    return {
        "token": mail("mine too", to=f"fleet+{token[1]}@acme.example", subject="quite another"),
        "internal_id": mail("mine too", subject="quite another", headers=[named]),
    }


@pytest.mark.parametrize("by", ["token", "internal_id"])
async def test_a_thread_of_acme_is_not_found_from_globex(by: str) -> None:
    async with post_office() as post:
        await post.install(policy="send", subject_token="true")
        await post.install(ELSEWHERE, tenant=GLOBEX, policy="send", subject_token="true")
        async with serving(post):
            named = (await names_of_a_thread(post))[by]
            await post.directive("succeeded")
            await post.signals("integration.connected")
            await post.quiet()
            before = await kept(post)
            post.server.deliver(ELSEWHERE, named)
            assert await threaded_by(post, 1, GLOBEX) is None
            await post.quiet()
            assert await kept(post) == before
            begun = await post.rows("select 1 from conversations", tenant=GLOBEX)
            post.server.deliver(FLEET, named)
            assert await threaded_by(post, 2, ACME) == by  # where it is known, it does attach
    assert len(begun) == 1
