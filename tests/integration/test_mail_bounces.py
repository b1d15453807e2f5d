"""A mail that comes back: its directive fails after all, and nothing more is sent to that address."""

from __future__ import annotations

import json

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide
from tests.connected import OPERATOR
from tests.house import ACME
from tests.mail_stage import DANA, FLEET
from tests.mailed import Post, post_office, serving

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


async def test_nothing_is_sent_to_a_suppressed_address_until_it_is_restored() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await post.rows("insert into mail_suppressed (address, reason) values ($1, 'test')", DANA)
            async with post.house.tenancy.session(ACME) as session:
                await decide.approve(session, post.house.registry, DirectiveId(draft["id"]), OPERATOR)
            refused = await post.directive("failed")
            assert (refused["error_code"], post.server.submissions) == ("suppressed", [])
            assert "fleetprompt mail suppressed restore" in refused["error"]
            await post.rows("delete from mail_suppressed")
            async with post.house.tenancy.session(ACME) as session:
                await decide.retry(session, post.house.registry, DirectiveId(draft["id"]), OPERATOR)
            await post.mails(1)
            await post.directive("succeeded")


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
            await post.signals("email.bounced")
            addresses = await post.rows("select address from mail_suppressed")
    assert [row["address"] for row in addresses] == [DANA]


async def test_of_several_only_those_that_a_bounce_names_are_suppressed() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all")
        async with serving(post):
            post.writes("help", headers=["Cc: friend@elsewhere.example"])
            (sent,) = await post.mails(1)
            await post.directive("succeeded")
            bounce(post, sent.message_id, TEXT, failed="forwarded@unheard.example")
            await post.directive("failed")
            await post.quiet()
            assert await post.rows("select 1 from mail_suppressed") == []
            bounce(post, sent.message_id, REPORT, failed="friend@elsewhere.example")
            await post.signals("email.bounced", 2)
            addresses = await post.rows("select address from mail_suppressed")
    assert [row["address"] for row in addresses] == ["friend@elsewhere.example"]
