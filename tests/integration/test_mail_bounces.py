"""A mail that comes back: its directive fails after all, and nothing more is sent to that address."""

from __future__ import annotations

import json

import pytest

from fleetprompt.connectors.proton_mail import bounces
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide, record
from fleetprompt.runtime.jobs import NewJob, enqueue
from tests import killing
from tests.connected import OPERATOR, until
from tests.house import ACME
from tests.integration.test_mail_notices import chat_beside
from tests.mail_stage import DANA, FLEET
from tests.mailed import Post, post_office, serving
from tests.serving import serve

REPORT = """From: MAILER-DAEMON@mail.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <report@mail.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I could not deliver it.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; {failed}
Action: failed
Status: 5.1.1
--b
Content-Type: message/rfc822

From: {to}
To: {failed}
Message-ID: {message_id}
Subject: Re: A question

hello
--b--
"""
TEXT = """From: MAILER-DAEMON@mail.example
To: {to}
Subject: failure notice
Message-ID: <text@mail.example>
Content-Type: text/plain

Hi. I wasn't able to deliver your message to the following addresses.

<{failed}>:
550 5.1.1 no such user

--- Below this line is a copy of the message.

Message-ID: {message_id}
Subject: Re: A question
"""


def bounce(post: Post, message_id: str, form: str = REPORT, failed: str = DANA) -> None:
    raw = form.format(to=FLEET, failed=failed, message_id=message_id).replace("\n", "\r\n")
    post.server.deliver(FLEET, raw.encode())


async def test_a_bounce_comes_back_to_its_directive_and_the_address_is_suppressed() -> None:
    for form in (REPORT, TEXT):
        async with post_office() as post:
            await post.install(policy="send")
            async with serving(post):
                post.writes("help")
                (sent,) = await post.mails(1)
                await post.directive("succeeded")
                bounce(post, sent.message_id, form)
                failed = await post.directive("failed")
                (told,) = await post.signals("email.bounced")
                post.writes("are you there?")
                (left,) = await post.signals("email.not_answered")
                await post.quiet()
            assert failed["error_code"] == "bounced"
            assert DANA in failed["error"]
            assert json.loads(told["payload"])["addresses"] == [DANA]
            assert json.loads(left["payload"])["reason"] == "suppressed"
            assert len(post.sent()) == 1


async def test_a_bounce_of_no_mail_of_ours_changes_nothing() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            bounce(post, "<invented@acme.example>")
            await post.signals("email.inbound.received", 2)
            await post.quiet()
            assert await post.rows("select 1 from mail_suppressed") == []
            bounce(post, sent.message_id, TEXT, failed="innocent@elsewhere.example")
            told = await post.signals("email.bounced", 2)
            await post.quiet()
            assert await post.rows("select 1 from mail_suppressed") == []
            assert (await post.directive("succeeded"))["error_code"] is None
    assert [json.loads(one["payload"])["doubt"] for one in told] == ["unknown_mail", "other_recipient"]


NAMELESS = TEXT.replace("Message-ID: {message_id}\n", "")


async def test_a_bounce_that_names_no_mail_is_told_to_people_once_and_changes_nothing() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(policy="send", notice_channel=channel)
        async with serving(post):
            post.writes("help")
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            bounce(post, sent.message_id, NAMELESS)
            (told,) = await post.signals("email.bounced")
            await post.quiet()
            came = (await post.signals("email.inbound.received", 2))[1]
            again = NewJob("signal.handle", {"signal_id": str(came["id"]), "handler": bounces.NAME})
            async with post.house.tenancy.session(ACME) as session:
                await enqueue(session, again)  # as after a death of its worker
            await post.quiet()
        await post.directive("succeeded")
        assert await post.rows("select 1 from mail_suppressed") == []
        assert len(await post.signals("email.bounced")) == len(post.server.submissions) == 1
        (notice,) = [one.message for one in chat.posts(channel) if not one.type]
    assert json.loads(told["payload"])["directive_id"] is None
    assert (told["causation_id"], told["correlation_id"]) == (came["id"], came["correlation_id"])
    assert "(unknown_mail)" in notice
    assert f"fleetprompt signals show {came['id']} --org acme" in notice


FORGED = {
    "not_from_a_mail_server": REPORT.replace("MAILER-DAEMON@mail.example", "eve@elsewhere.example"),
    "sender_takes_part": REPORT.replace("MAILER-DAEMON@mail.example", "postmaster@customer.example"),
    "sender_forged": "Authentication-Results: mail.protonmail.ch; dmarc=fail\n" + REPORT,
}


async def test_bounces_that_anybody_could_have_written_change_nothing_and_are_told() -> None:
    """Whoever was written to knows the Message-ID."""
    async with post_office() as post:
        await post.install(policy="send", cc="all")
        async with serving(post):
            post.writes("help", headers=["Cc: postmaster@customer.example"])
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            for number, form in enumerate(FORGED.values()):
                bounce(post, sent.message_id, form.replace("report@", f"report{number}@"))
            told = await post.signals("email.bounced", len(FORGED))
            await post.quiet()
            assert await post.rows("select 1 from mail_suppressed") == []
            await post.directive("succeeded")
    assert {json.loads(one["payload"])["doubt"] for one in told} == set(FORGED)


async def test_a_bounce_that_is_sooner_than_our_own_record_is_not_lost() -> None:
    """The worker dies when the mail has left, and before it says so."""
    async with post_office() as post:
        await post.install(policy="send")
        post.writes("help")
        await killing.dies(serve, post.base.url, None, fault="effect.performed")
        await post.base.rows(
            "update public.job set lease_until = now() + interval '3 s' where state = 'running'"
        )
        (sent,) = post.sent()
        bounce(post, sent.message_id)
        async with serving(post):
            failed = await post.directive("failed")
            (told,) = await post.signals("email.bounced")
            (left,) = await post.signals("email.sent")
            await post.quiet()
            (address,) = await post.rows("select address from mail_suppressed")
    assert (failed["error_code"], address["address"]) == ("bounced", DANA)
    assert left["id"] < told["id"]
    assert len(post.server.submissions) == 1


async def test_what_comes_back_had_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell whether it was sent, until its bounce came."""
    monkeypatch.setattr(record, "LOOK_UPS", 1)
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm("smtp_drop_after_data")
        async with serving(post):
            post.writes("help")
            (sent,) = await post.mails(1)
            post.server.arm("imap_no_to_search", 1000)
            await post.directive("outcome_unknown")
            post.server.clear_faults()
            bounce(post, sent.message_id)
            failed = await post.directive("failed")
            await post.quiet()
    assert failed["error_code"] == "bounced"


@pytest.mark.parametrize("fault", ["bounce.told", "bounce.taken_back", "directive.succeeded>failed!"])
async def test_a_bounce_whose_worker_is_killed_comes_back_once(fault: str) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            await post.quiet()
        bounce(post, sent.message_id)
        await killing.dies(serve, post.base.url, None, fault=fault)
        with killing.running(serve, post.base.url, None):
            failed = await post.directive("failed")
            await post.signals("email.bounced")
            await post.quiet()
        told = await post.rows("select name from signals where name in ('email.bounced', 'directive.failed')")
        addresses = await post.rows("select address from mail_suppressed")
    assert failed["error_code"] == "bounced"
    assert sorted(row["name"] for row in told) == ["directive.failed", "email.bounced"]
    assert [row["address"] for row in addresses] == [DANA]


async def test_of_several_only_those_that_a_bounce_names_are_suppressed() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all")
        async with serving(post):
            post.writes("help", headers=["Cc: friend@elsewhere.example"])
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            bounce(post, sent.message_id, REPORT, failed="friend@elsewhere.example")
            await post.signals("email.bounced")
            await post.quiet()
            addresses = await post.rows("select address from mail_suppressed")
    assert [row["address"] for row in addresses] == ["friend@elsewhere.example"]


COLLEAGUE = "colleague@customer.example"
SUPPRESS = "insert into mail_suppressed (address, reason) values ($1, 'bounced 5.1.1')"


@pytest.mark.parametrize("when", ["before the run", "while the draft waits", "once its bytes are frozen"])
async def test_a_dead_copy_is_left_out_and_the_others_get_the_mail(when: str) -> None:
    async with post_office() as post:
        await post.install(cc="all", retry_delay_s="2")
        if when == "before the run":
            await post.rows(SUPPRESS, COLLEAGUE)
        async with serving(post):
            post.writes("help", headers=[f"Cc: {COLLEAGUE}"])
            draft = await post.directive("awaiting_approval")
            if when == "while the draft waits":
                await post.rows(SUPPRESS, COLLEAGUE)
            if when == "once its bytes are frozen":
                post.server.arm("smtp_fail_mail")
            async with post.house.tenancy.session(ACME) as session:
                await decide.approve(session, post.house.registry, DirectiveId(draft["id"]), OPERATOR)
            if when == "once its bytes are frozen":
                await until(lambda: post.rows("select 1 from directives where failures = 1"), 30)
                await post.rows(SUPPRESS, COLLEAGUE)
            (sent,) = await post.mails(1)
            done = await post.directive("succeeded")
            (told,) = await post.signals("email.sent")
    assert sent.recipients == (DANA,)
    assert json.loads(done["result"])["receipts"][0]["left_out"] == [COLLEAGUE]
    payload = json.loads(told["payload"])
    assert (payload["to"], payload["cc"], payload["left_out"]) == ([DANA], [], [COLLEAGUE])


async def test_a_draft_to_an_address_that_died_meanwhile_is_refused() -> None:
    async with post_office() as post:
        await post.install(cc="all")
        async with serving(post):
            post.writes("help", headers=[f"Cc: {COLLEAGUE}"])
            draft = await post.directive("awaiting_approval")
            await post.rows(SUPPRESS, DANA)
            async with post.house.tenancy.session(ACME) as session:
                await decide.approve(session, post.house.registry, DirectiveId(draft["id"]), OPERATOR)
            failed = await post.directive("failed")
            await post.quiet()
    assert failed["error_code"] == "suppressed"
    assert DANA in failed["error"]
    assert post.server.submissions == []


async def test_no_run_is_spent_on_a_mail_whose_answer_would_go_to_a_dead_address() -> None:
    """Whoever wrote lives; where they want their answer does not."""
    async with post_office() as post:
        await post.install(policy="send")
        await post.rows(SUPPRESS, "dead@customer.example")
        async with serving(post):
            post.writes("help", headers=["Reply-To: dead@customer.example"])
            (left,) = await post.signals("email.not_answered")
            await post.quiet()
            runs = await post.rows("select 1 from executions")
    assert json.loads(left["payload"])["reason"] == "suppressed"
    assert (runs, post.server.submissions) == ([], [])
