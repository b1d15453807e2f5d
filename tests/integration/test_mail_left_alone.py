"""Mail that no machine may answer, and loops that end although nothing marks them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleetprompt.connectors.proton_mail.caps import DAY_IS_HOURS
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.runtime.directives.decide import approve, reject
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.replay import Chosen, replay
from tests.connected import OPERATOR
from tests.house import ACME, GLOBEX
from tests.mail_stage import FLEET
from tests.mailed import Post, post_office, serving

SILENT = {
    "auto_submitted": {"headers": ["Auto-Submitted: auto-replied"]},
    "list": {"headers": ["List-Id: <news.example>"]},
    "precedence": {"headers": ["Precedence: bulk"]},
    "no_reply_sender": {"sender": "no-reply@shop.example"},
    "own_address": {"sender": FLEET},
}


AN_HOUR_LATER = "update mail_answers set created_at = created_at - interval '61 minutes'"


async def test_what_no_machine_may_answer_is_told_and_left_alone() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        for words in SILENT.values():
            post.writes("help", **words)  # type: ignore[arg-type]
        async with serving(post):
            told = await post.signals("email.inbound.received", len(SILENT))
            await post.quiet()
            runs = await post.rows("select 1 from executions")
    reasons = [json.loads(row["payload"])["never_answer"] for row in told]
    assert {reason for found in reasons for reason in found} >= set(SILENT)
    assert (runs, post.server.submissions) == ([], [])


async def test_a_responder_without_any_header_is_stopped_at_the_cap_and_reported() -> None:
    async with post_office() as post:
        await post.install(policy="send", max_answers_per_thread="2", answers_per_sender_per_hour="100")
        async with serving(post):
            last = ""
            for turn in range(3):
                headers = [f"In-Reply-To: {last}"] if last else []
                post.writes(f"I am away. {turn}", subject="Away", headers=headers)
                if turn < 2:
                    last = (await post.mails(turn + 1))[-1].message_id
                    await post.quiet()
            (stopped,) = await post.signals("agent.loop.stopped")
            await post.quiet()
    assert len(post.sent()) == 2
    assert json.loads(stopped["payload"])["reason"] == "thread_cap"


async def test_nobody_gets_more_answers_in_an_hour_than_the_cap() -> None:
    async with post_office() as post:
        await post.install(policy="send", answers_per_sender_per_hour="2")
        for number in range(5):
            post.writes("help", subject=f"question {number}")
        async with serving(post):
            left = await post.signals("email.not_answered", 3)
            await post.quiet()
    assert len(post.sent()) == 2
    assert {json.loads(row["payload"])["reason"] for row in left} == {"sender_cap"}


async def test_a_responder_that_begins_a_thread_with_each_mail_is_stopped_in_a_day_and_reported() -> None:
    """Neither the thread's cap nor the hour's ends it: each hour would let the next ones through."""
    async with post_office() as post:
        await post.install(policy="send", answers_per_sender_per_hour="1")
        async with serving(post):
            for hour in range(DAY_IS_HOURS + 1):
                post.writes("I am away.", subject=f"Away {hour}")
                if hour < DAY_IS_HOURS:
                    await post.mails(hour + 1)
                    await post.quiet()
                    await post.rows(AN_HOUR_LATER)
            (stopped,) = await post.signals("agent.loop.stopped")
            await post.quiet()
            assert len(post.sent()) == DAY_IS_HOURS
            assert json.loads(stopped["payload"])["reason"] == "sender_day_cap"
            await post.rows(AN_HOUR_LATER.replace("61 minutes", "1 day"))
            post.writes("I am back.", subject="Back")
            await post.mails(DAY_IS_HOURS + 1)


async def test_what_a_person_approved_does_not_count_for_the_day() -> None:
    async with post_office() as post:
        await post.install(answers_per_sender_per_hour="1")
        async with serving(post):
            for hour in range(DAY_IS_HOURS + 1):
                post.writes("help", subject=f"question {hour}")
                draft = await post.directive("awaiting_approval", nth=hour)
                async with post.house.tenancy.session(ACME) as session:
                    await approve(session, post.house.registry, draft["id"], OPERATOR)
                await post.mails(hour + 1)
                await post.quiet()
                await post.rows(AN_HOUR_LATER)


async def test_who_is_named_as_reply_to_by_many_gets_no_more_answers_than_the_cap() -> None:
    async with post_office() as post:
        await post.install(policy="send", answers_per_sender_per_hour="2")
        for number in range(5):
            headers = ["Reply-To: victim@customer.example"]
            sender, subject = f"a{number}@customer.example", f"question {number}"
            post.writes("help", sender=sender, subject=subject, headers=headers)
        async with serving(post):
            left = await post.signals("email.not_answered", 3)
            await post.quiet()
    assert [one.recipients for one in post.sent()] == [("victim@customer.example",)] * 2
    assert {json.loads(row["payload"])["reason"] for row in left} == {"sender_cap"}


async def test_a_copy_beyond_the_cap_is_left_out_and_who_asked_is_answered() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all", answers_per_sender_per_hour="2")
        for number in range(3):
            headers = ["Cc: victim@customer.example"]
            post.writes("help", sender=f"a{number}@customer.example", headers=headers)
        async with serving(post):
            sent = await post.mails(3)
            await post.quiet()
    assert sorted(one.recipients[0] for one in sent) == [f"a{number}@customer.example" for number in range(3)]
    assert sum("victim@customer.example" in one.recipients for one in sent) == 2


VICTIM = "victim@customer.example"


@pytest.mark.parametrize("header", ["Cc", "Reply-To"])
async def test_strangers_do_not_stop_the_answers_to_somebody_whom_they_name(header: str) -> None:
    """Until these have had their own share, too."""
    async with post_office() as post:
        await post.install(policy="send", cc="all", answers_per_sender_per_hour="2")
        async with serving(post):
            for number in range(4):
                post.writes("help", sender=f"a{number}@customer.example", headers=[f"{header}: {VICTIM}"])
            seen = await post.signals("email.inbound.received", 4)
            await post.quiet()
            named = [one for one in post.sent() if VICTIM in one.recipients]
            for number in range(3):
                post.writes("help", sender=VICTIM, subject=f"question {number}")
            await post.signals("email.inbound.received", len(seen) + 3)
            await post.quiet()
            left = await post.signals("email.not_answered")
    assert len(named) == 2
    assert [one.recipients for one in post.sent()].count((VICTIM,)) == (2 if header == "Cc" else 4)
    assert json.loads(left[-1]["payload"])["author"]["id"] == VICTIM


async def test_strangers_do_not_use_up_the_day_of_somebody_whom_they_name() -> None:
    async with post_office() as post:
        await post.install(policy="send", answers_per_sender_per_hour="1")
        async with serving(post):
            for hour in range(DAY_IS_HOURS):
                sender = f"a{hour}@customer.example"
                post.writes("help", sender=sender, headers=[f"Reply-To: {VICTIM}"])
                await post.mails(hour + 1)
                await post.quiet()
                await post.rows(AN_HOUR_LATER)
            post.writes("help", sender="b@customer.example", headers=[f"Reply-To: {VICTIM}"])
            (stopped,) = await post.signals("agent.loop.stopped")
            post.writes("help", sender=VICTIM)
            await post.mails(DAY_IS_HOURS + 1)
    assert json.loads(stopped["payload"])["reason"] == "sender_day_cap"


@pytest.mark.parametrize("is_rejected", [False, True])
async def test_drafts_that_were_never_sent_do_not_count_for_the_day(is_rejected: bool) -> None:
    async with post_office() as post:
        await post.install(answers_per_sender_per_hour="1")
        async with serving(post):
            for hour in range(DAY_IS_HOURS + 1):
                post.writes("help", subject=f"question {hour}")
                draft = await post.directive("awaiting_approval", nth=hour)
                if is_rejected:
                    async with post.house.tenancy.session(ACME) as session:
                        await reject(session, post.house.registry, draft["id"], OPERATOR, "Not this one.")
                await post.quiet()
                await post.rows(AN_HOUR_LATER)
    assert post.server.submissions == []


@asynccontextmanager
async def asked_while_paused() -> AsyncIterator[Post]:
    """Somebody wrote to an agent that is paused."""
    async with post_office() as post:
        await post.install(policy="send")
        await post.rows("update agents set state = 'paused'")
        async with serving(post):
            post.writes("help")
            yield post


async def test_a_mail_without_a_senders_address_is_left_alone_for_that() -> None:
    async with asked_while_paused() as post:
        (seen,) = await post.signals("email.inbound.received")
        payload = json.loads(seen["payload"])
        nobody = {**payload, "author": {**payload["author"], "id": ""}}
        new = NewSignal(
            "email.inbound.received",
            nobody,
            OPERATOR,
            installation_id=seen["installation_id"],
            conversation_id=seen["conversation_id"],
        )
        async with post.house.tenancy.session(ACME) as session:
            await emit(session, post.house.registry, new)
        left = await post.signals("email.not_answered", 2)
        await post.quiet()
    reasons = [json.loads(one["payload"])["reason"] for one in left]
    assert reasons.count("no_sender") == 1  # the second has no lane: they are handled in any order


async def test_two_mailboxes_of_ours_do_not_talk_to_each_other() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        await post.install("sales@acme.example", name="sales", policy="send")
        post.writes("help", sender="sales@acme.example")
        async with serving(post):
            (left,) = await post.signals("email.not_answered")
            await post.quiet()
    assert json.loads(left["payload"])["reason"] == "own_address"
    assert post.server.submissions == []


@pytest.mark.parametrize("raw", [b"\x00\x00\x00", b"Subject: x\r\n" * 40_000 + b"\r\nhello"])
async def test_what_cannot_be_read_is_set_aside_visibly_with_its_bytes(raw: bytes) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.deliver(FLEET, raw, with_internal_id=False)
        post.writes("help")
        async with serving(post):
            await post.mails(1)
            seen: list[Any] = await post.rows(
                "select payload, (select string_agg(body, '' order by number) from mail_chunks c"
                " where c.signal_id = s.id) as raw from signals s where name like 'email.inbound.%' order by id"
            )
    first = json.loads(seen[0]["payload"])
    assert seen[0]["raw"] == raw
    assert len(seen) == 2
    assert first["addressed"] is False or first["quarantine"] is None
    assert len(post.sent()) <= 2


async def test_a_mail_for_a_paused_agent_is_left_to_people_visibly_and_answered_by_a_replay() -> None:
    async with asked_while_paused() as post:
        (left,) = await post.signals("email.not_answered")
        await post.quiet()
        assert post.server.submissions == []
        await post.rows("update agents set state = 'active'")
        async with post.house.tenancy.session(ACME) as session:
            chosen = Chosen([], "email.inbound.received", None, None)
            await replay(session, post.house.registry, chosen, OPERATOR)
        await post.mails(1)
    assert "is paused" in json.loads(left["payload"])["reason"]


async def test_agents_of_two_organizations_that_answer_each_other_are_stopped() -> None:
    other = "fleet@globex.example"
    async with post_office() as post:
        async with post.house.tenancy.session(GLOBEX) as session:
            await create_agent(session, post.house.registry, "mirror", OPERATOR)
        settings: dict[str, Any] = {
            "policy": "send",
            "max_answers_per_thread": "2",
            "answers_per_sender_per_hour": "50",
        }
        await post.install(**settings)
        await post.install(other, tenant=GLOBEX, **settings)
        async with serving(post):
            post.writes("help", sender=other)
            await post.signals("agent.loop.stopped")
            await post.quiet()
            sent = len(post.sent())
    assert sent <= 4
    assert {one.account for one in post.sent()} == {FLEET, other}


async def test_one_account_is_installed_once_in_the_whole_house() -> None:
    async with post_office() as post:
        await post.install()
        with pytest.raises(AssertionError, match="conflict"):
            await post.install(tenant=GLOBEX)
        with pytest.raises(AssertionError, match="conflict"):
            await post.install(name="again")
