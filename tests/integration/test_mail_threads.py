"""Where a mail belongs: by what it names, if its sender takes part there; never across tenants."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.house import GLOBEX
from tests.mail_stage import DANA, FLEET, mail
from tests.mailed import Post, post_office, read, serving

EVE = "Eve <eve@elsewhere.example>"


async def received(post: Post, count: int) -> list[dict[str, Any]]:
    """The payloads so far, once there are so many."""
    return [json.loads(row["payload"]) for row in await post.signals("email.inbound.received", count)]


async def test_an_answer_to_our_mail_goes_on_in_its_conversation() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            post.writes(
                "thanks, and now?", subject="something else", headers=[f"References: {first.message_id}"]
            )
            told = await received(post, 2)
            second = (await post.mails(2))[1]
    assert told[1]["conversation_id"] == told[0]["conversation_id"]
    assert (told[0]["threaded_by"], told[1]["threaded_by"]) == (None, "own_message_id")
    assert first.message_id.encode() in second.raw
    assert first.message_id != second.message_id


async def test_a_stranger_who_names_our_mail_takes_no_part() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            post.writes("help", sender=EVE, headers=[f"In-Reply-To: {first.message_id}"])
            told = await received(post, 2)
            second = (await post.mails(2))[1]
    assert told[1]["conversation_id"] != told[0]["conversation_id"]
    assert second.recipients == ("eve@elsewhere.example",)


async def test_who_was_in_cc_may_go_on() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help", headers=["Cc: eve@elsewhere.example"])
            (first,) = await post.mails(1)
            post.writes("help me too", sender=EVE, headers=[f"In-Reply-To: {first.message_id}"])
            told = await received(post, 2)
    assert told[1]["conversation_id"] == told[0]["conversation_id"]


async def test_a_token_in_the_subject_holds_a_thread_together_for_its_people_alone() -> None:
    async with post_office() as post:
        await post.install(policy="send", subject_token="true")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            subject = str(read(first.raw)["Subject"])
            token = re.search(r" \[#([a-z2-7]{16})\]$", subject)
            assert token
            post.writes("no headers here", subject=f"AW: {subject}")
            second = (await post.mails(2))[1]
            post.server.deliver(FLEET, plus(token[1]))
            told = await received(post, 3)
            post.writes("mine too!", sender=EVE, subject=subject)
            told = await received(post, 4)
    conversations = [one["conversation_id"] for one in told]
    assert conversations[0] == conversations[1] == conversations[2] != conversations[3]
    assert [one["threaded_by"] for one in told] == [None, "token", "token", None]
    assert str(read(second.raw)["Subject"]) == f"AW: {subject}"  # the token stands there once


def plus(token: str) -> bytes:
    return mail("by address", to=f"fleet+{token}@acme.example", subject="quite another")


async def test_names_of_another_tenant_attach_nothing() -> None:
    async with post_office() as post:
        await post.install(policy="send", subject_token="true")
        await post.install("fleet@globex.example", tenant=GLOBEX, policy="send")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            subject = str(read(first.raw)["Subject"])
            post.writes(
                "help",
                to="fleet@globex.example",
                subject=subject,
                headers=[f"References: {first.message_id}"],
            )
            (theirs,) = await post.signals("email.inbound.received", tenant=GLOBEX)
            second = (await post.mails(2))[1]
            ours = await post.rows("select count(*) as n from messages")
    payload = json.loads(theirs["payload"])
    assert payload["threaded_by"] is None
    assert second.account == "fleet@globex.example"
    assert ours[0]["n"] == 2


async def test_the_same_mail_in_two_folders_is_one_signal() -> None:
    async with post_office() as post:
        post.server.create_account(FLEET)
        post.server.deliver(FLEET, mail("help"), ["INBOX", "Labels/vip"])
        await post.install(policy="send", folders="INBOX,Labels/vip")
        async with serving(post):
            await post.mails(1)
            post.writes("help", subject="the next one")
            await post.mails(2)
            await post.quiet()
            assert len(await received(post, 2)) == 2


async def test_one_message_id_with_two_bodies_is_two_mails() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        for words in ("help", "help, please"):
            raw = mail(words, message_id="<same@customer.example>")
            post.server.deliver(FLEET, raw, with_internal_id=False)
        async with serving(post):
            assert len(await received(post, 2)) == 2
            await post.directive(
                "succeeded", nth=1
            )  # Bridge sends the same answer to the same id no second time
            assert len(post.server.submissions) == 2
            messages = await post.rows("select text from messages where author_kind = 'person' order by id")
    assert [row["text"].strip() for row in messages] == ["help", "help, please"]


async def test_unless_it_is_set_otherwise_the_answer_goes_to_the_sender_alone() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            headers = ["Cc: eve@elsewhere.example, boss@customer.example"]
            post.writes("help", headers=headers)
            (sent,) = await post.mails(1)
    assert (sent.recipients, read(sent.raw)["To"], read(sent.raw)["Cc"]) == ((DANA,), DANA, None)


async def test_protons_own_id_of_a_mail_holds_its_thread_together() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            first = post.server.deliver(FLEET, mail("help"))
            told = await received(post, 1)
            named = f"<{first.id}==@protonmail.internalid>"
            post.writes("and now?", subject="b", headers=[f"References: {named}"])
            post.writes("and mine?", subject="c", sender=EVE, headers=[f"References: {named}"])
            told = await received(post, 3)
    assert [one["threaded_by"] for one in told] == [None, "internal_id", None]
    assert told[0]["conversation_id"] == told[1]["conversation_id"] != told[2]["conversation_id"]


async def test_recipients_follow_the_policy_and_reply_to_only_at_home() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all", addresses="sales@acme.example")
        async with serving(post):
            post.writes("help", headers=["Cc: eve@elsewhere.example, sales@acme.example"])
            (all_,) = await post.mails(1)
            post.writes("help", subject="b", headers=["Reply-To: mallory@evil.example"])
            (_, elsewhere) = await post.mails(2)
            post.writes("help", subject="c", headers=["Reply-To: team@customer.example"])
            (*_, home) = await post.mails(3)
    assert all_.recipients == (DANA, "eve@elsewhere.example")
    assert elsewhere.recipients == (DANA,)
    assert home.recipients == ("team@customer.example",)
