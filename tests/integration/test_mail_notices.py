"""People are told in a chat what a mailbox needs of them; our own limits and Bridge's refusals are kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import pytest

from adapters.proton_mail import Pace
from fleetprompt.connectors.proton_mail import settings as mail_settings
from fleetprompt.connectors.proton_mail.allowance import wait_for_allowance_s
from fleetprompt.connectors.proton_mail.attachments import read_mail
from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import install
from fleetprompt.runtime.directives.decide import approve
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.connected import OPERATOR, until
from tests.house import ACME
from tests.mail_stage import DANA, FLEET, mail
from tests.mailed import Post, post_office, serving


@contextlib.asynccontextmanager
async def chat_beside(post: Post) -> AsyncIterator[tuple[SandboxMattermost, str]]:
    """acme has a Mattermost too; the id of the channel that is to be told."""
    async with SandboxMattermost() as chat:
        bot, team = chat.create_user("fleet", is_bot=True), chat.create_team("acme")
        channel = chat.create_channel(team, "support")
        chat.add_to_team(bot, team)
        chat.add_to_channel(bot, channel)
        config = {"server_url": chat.url, "team": "acme"}
        secrets = {"bot_token": Secret(bot.token)}
        asked = await install(post.house, ACME, "mattermost", config=config, secrets=secrets, actor=OPERATOR)
        assert (await run_now(post.house, ACME, asked.directive_id, 20)).succeeded
        yield chat, channel.id


ANSWERED_ALL_DAY = (
    "insert into mail_answers (execution_id, address, installation_id, created_at) select gen_random_uuid(), $1, i.id,"
    " now() - interval '2 h' from installations i, generate_series(1, 24) where i.package = 'proton-mail'"
)


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_draft_is_told_in_the_chat_with_the_commands_to_use(by_name: bool) -> None:
    """Nothing was said there yet: the chat itself knows the channel's name."""
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel="~support" if by_name else channel)
        async with serving(post):
            post.writes("help @channel", sender=f'"Dana" <{DANA}>')
            draft = await post.directive("awaiting_approval")

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if not one.type]

            (notice,) = await until(told)
            await post.quiet()
            assert len(await told()) == 1
    assert f"fleetprompt directives show {draft['id']} --org acme" in notice
    assert "approve" in notice
    assert f"Dana <{DANA}>, sender unverified" in notice
    assert post.server.submissions == []


async def test_a_channel_that_is_not_there_fails_the_notice_visibly() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel="nowhere")
        async with serving(post):
            post.writes("help")
            await post.directive("awaiting_approval")
            await post.quiet()
            (notice,) = await post.rows("select * from directives where name = 'mattermost.post.create'")
        assert [one for one in chat.posts(channel) if not one.type] == []
    assert (notice["state"], notice["error_code"]) == ("failed", "place_gone")
    assert "Invite it to the channel" in notice["error"]


async def test_a_run_that_fails_tells_the_chat_and_never_the_customer() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel=channel, policy="send")
        await post.rows(
            "update agents set model = 'openai:gpt-none', limits = limits || '{\"max_steps\": 1}'"
        )
        async with serving(post):
            post.writes("help")

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if "could not be answered" in one.message]

            (notice,) = await until(told, 30)
            await post.quiet()
    assert "fleetprompt executions show" in notice
    assert post.server.submissions == []


@pytest.mark.parametrize("reason", ["thread_cap", "sender_day_cap"])
async def test_a_stopped_loop_is_told_in_the_chat(reason: str) -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        most = "0" if reason == "thread_cap" else "6"
        await post.install(notice_channel=channel, policy="send", max_answers_per_thread=most)
        if reason == "sender_day_cap":
            await post.rows(ANSWERED_ALL_DAY, DANA)
        async with serving(post):
            for number in range(3):
                post.writes("I am away.", subject=f"Away {number}")
            stopped = await post.signals("agent.loop.stopped", 3)
            await post.quiet()
            told = [one.message for one in chat.posts(channel) if not one.type]
    assert all(f"{DANA} got answer upon answer" in one and reason in one for one in told)
    mails = [
        json.loads(row["payload"])["signal_id"] for row in stopped
    ]  # each a thread of its own: in any order
    assert any(f"fleetprompt signals show {mail} --org acme" in told[0] for mail in mails)
    assert len(told) == (3 if reason == "thread_cap" else 1)  # of a sender once a day, whatever comes in
    assert post.server.submissions == []


async def test_mails_that_cannot_be_read_are_told_once_an_hour_without_a_word_of_them() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel=channel, policy="send")
        for number in range(5):
            post.writes("-----BEGIN PGP MESSAGE-----", subject=f"private {number}")
        async with serving(post):
            aside = await post.signals("email.inbound.quarantined", 5)

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if not one.type]

            await until(told, 30)
            await post.quiet()
            notices = await told()
    assert len(notices) == len(
        {row["created_at"].replace(minute=0, second=0, microsecond=0) for row in aside}
    )
    assert "A mail in INBOX of " in notices[0]
    assert "Bridge could not decrypt it." in notices[0]
    assert any(f"`fleetprompt signals show {row['id']} --org acme`" in notices[0] for row in aside)
    assert not [word for word in ("private", DANA, "PGP") if word in " ".join(notices)]
    assert post.server.submissions == []


async def test_a_mail_that_the_server_never_gave_is_told_and_nobody_looks_for_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasty = partial(Pace, backoff_first_s=0.05, backoff_most_s=0.1, give_up_s=0.3)
    monkeypatch.setattr(mail_settings, "Pace", hasty)
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel=channel)
        post.server.poison(post.server.deliver(FLEET, mail("private")).id, "refuse")
        post.server.deliver(FLEET, b"", with_internal_id=False)
        async with serving(post):
            given, empty = await post.signals("email.inbound.quarantined", 2)

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if not one.type]

            notices = await until(told, 30)
            await post.quiet()
        async with post.house.tenancy.session(ACME) as session:
            with pytest.raises(NotFound, match="The server never gave its bytes") as never:
                await read_mail(session, given["id"])
            with pytest.raises(NotFound, match="The mail is empty"):
                await read_mail(session, empty["id"])
            with pytest.raises(NotFound, match="its retention is over"):
                await read_mail(session, uuid4())
    assert "in the mailbox itself" in never.value.advice
    assert "could not be read" in notices[0]


async def test_a_mail_that_was_not_sent_is_told_in_the_chat() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel=channel)
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await post.rows("insert into mail_suppressed (address, reason) values ($1, 'bounced')", DANA)
            async with post.house.tenancy.session(ACME) as session:
                await approve(session, post.house.registry, draft["id"], OPERATOR)

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if "was not sent" in one.message]

            (notice,) = await until(told, 30)
            await post.quiet()
    assert f"{DANA}: mail to this address came back" in notice
    assert f"fleetprompt directives show {draft['id']} --org acme" in notice


async def test_our_own_limit_of_mails_an_hour_holds_the_next_one_back() -> None:
    async with post_office() as post:
        await post.install(policy="send", mails_per_hour="2")
        for number in range(3):
            post.writes("help", subject=str(number), sender=f"c{number}@customer.example")
        async with serving(post):
            await post.mails(2)

            async def held() -> bool:
                rows = await post.base.rows(
                    "select 1 from public.job where kind = 'directive.run' and state = 'available'"
                    " and scheduled_at > now() + interval '1 min'"
                )
                return bool(rows)

            await until(held, 30)
            assert len(post.sent()) == 2
            await post.rows(
                "update effects set finished_at = finished_at - interval '2 h' where state = 'sent'"
            )
            await post.base.rows("update public.job set scheduled_at = now() where kind = 'directive.run'")
            await post.mails(3)


async def test_of_mails_whose_sending_was_cut_off_one_goes_first_and_none_beyond_the_limit() -> None:
    async with post_office() as post:
        installation = await post.install(policy="send", mails_per_hour="1")
        for number in range(3):
            post.writes("help", subject=str(number), sender=f"c{number}@customer.example")
        waiting = "select directive_id, key from effects where state = 'planned' order by key"
        async with serving(post):
            await post.mails(1)

            async def held() -> bool:
                return len(await post.rows(waiting)) == 2

            await until(held, 30)
        await post.rows("update effects set finished_at = now() - interval '2 h' where state = 'sent'")
        first, second = await post.rows(waiting)
        await post.rows(
            "update effects set state = 'sending', first_tried_at = now() where state = 'planned'"
        )
        async with post.house.tenancy.session(ACME) as session:
            cut_off = [
                await wait_for_allowance_s(session, installation, row["directive_id"], row["key"])
                for row in (first, second)
            ]
            another = await wait_for_allowance_s(session, installation, uuid4())
        assert (cut_off[0], cut_off[1] > 0, another > 0) == (0, True, True)


@pytest.mark.parametrize("fault", ["smtp_fail_mail", "smtp_fail_data"])
async def test_who_is_refused_again_and_again_stops_early_and_says_so(fault: str) -> None:
    """Behind the mail too: it does not stand in Sent, so it was not sent."""
    async with post_office() as post:
        await post.install(policy="send", retry_delay_s="0.01", look_up_s="0.1")
        post.server.arm(fault, 50)
        async with serving(post):
            post.writes("help")
            failed = await post.directive("failed")
            await post.quiet()
    assert failed["error_code"] == "far_side_failed"
    assert failed["failures"] == 4  # the fifth refusal was the last
    assert post.server.submissions == []


async def test_a_replay_of_a_mail_answers_nothing_twice() -> None:
    from fleetprompt.runtime.signals.replay import Chosen, replay

    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help")
            await post.mails(1)
            await post.directive("succeeded")
            async with post.house.tenancy.session(ACME) as session:
                count, _ = await replay(
                    session, post.house.registry, Chosen([], "email.*", None, None), OPERATOR
                )
            await post.quiet()
            (told,) = await post.signals("email.sent")
    assert count >= 2
    assert len(post.server.submissions) == 1
    assert json.loads(told["payload"])["to"] == [DANA]
