"""A long text of a mail is stored once, in its fact; whoever reads the conversation is shown all of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.runtime.executions.context import build_request
from fleetprompt.runtime.executions.record import load
from fleetprompt.runtime.llm import PersonSays
from tests.house import ACME
from tests.mailed import Post, post_office, serving

LONG = "Grüße 🎈 from Dana, who waits for her order. " * 40
QUOTED = "\r\n\r\nOn Fri, 20 Nov 2026, Fleet <fleet@acme.example> wrote:\r\n> We will look."


async def _two_mails(post: Post, first: str) -> UUID:
    """Of one thread, answered; the second one's run."""
    root = post.writes(first)
    await post.mails(1)
    post.writes("And now?", headers=[f"In-Reply-To: {root}", f"References: {root}"])
    await post.mails(2)
    await post.quiet()
    runs = await post.rows("select id, conversation_id from executions order by id")
    assert len({row["conversation_id"] for row in runs}) == 1
    run: UUID = runs[-1]["id"]
    return run


async def _shown(post: Post, run_id: UUID) -> list[Any]:
    async with post.house.tenancy.session(ACME) as session:
        run = await load(session, ExecutionId(run_id))
        assert run is not None
        request, _ = await build_request(session, {}, run)
        return [one.text for one in request.messages if isinstance(one, PersonSays)]


@pytest.mark.parametrize("history", ["", QUOTED], ids=["alone", "with history"])
async def test_the_conversation_shows_what_stands_in_the_fact_alone(history: str) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            run = await _two_mails(post, LONG + history)
        assert await _shown(post, run) == [LONG.strip(), "And now?"]
        kept = await post.rows(
            "select text, said_in_fact from messages where author_kind = 'person' order by id"
        )
        assert [tuple(row) for row in kept] == [("", True), ("And now?", False)]
        held = "select count(*) as n from signals where strpos(payload::text, $1) > 0 and payload ? 'request'"
        assert (await post.rows(held, "Grüße 🎈 from Dana"))[0]["n"] == 0


async def test_a_message_whose_fact_is_not_kept_any_more_is_not_shown() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            run = await _two_mails(post, LONG)
        await post.rows("delete from signals where strpos(payload ->> 'text', 'Dana, who waits') > 0")
        assert await _shown(post, run) == ["And now?"]
