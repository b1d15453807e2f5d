"""Bad days of a mailbox, with the service in a process of its own: every mail is answered once, whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from fleetprompt.model.states import fault_point
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.settings import Settings
from tests import killing, serving
from tests.connected import until
from tests.mail_stage import FLEET, mail
from tests.mailed import Post, post_office

POINTS = [
    "ingest.before_commit",
    "ingest.committed",
    "ingest.acked",
    "execution.recorded",
    "effect.recorded_sending",
    "effect.performed",
    fault_point("effect", "planned", "sending"),
    fault_point("effect", "sending", "sent"),
    fault_point("effect", "sending", "sent", committed=True),
    fault_point("directive", "running", "succeeded"),
]
SLOTS = Settings.model_fields["worker_slots"].default
SHARE = SLOTS * 3 // 4  # of a worker's slots one tenant gets no more
SLOW_MAILS = SLOTS + 8


async def all_over(post: Post, count: int) -> None:
    """So many answers have succeeded, and no job is left."""

    async def over() -> bool:
        query = "select count(*) as n from directives where name = 'email.send' and state = 'succeeded'"
        return bool((await post.rows(query))[0]["n"] == count)

    await until(over, 40)
    await post.quiet()


def answered_once(post: Post, *message_ids: str) -> None:
    """Each of these mails has exactly one answer that left."""
    sent = Counter(one.message_id for one in post.sent())
    assert set(sent.values()) <= {1}
    answers = [name for name in message_ids for one in post.sent() if name.encode() in one.raw]
    assert sorted(answers) == sorted(message_ids)


@pytest.mark.parametrize("point", POINTS)
async def test_a_death_there_loses_and_doubles_no_mail(point: str) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        first = post.writes("help", subject="one")
        await killing.dies(serving.serve, post.base.url, None, fault=point)
        second = post.writes("help", subject="two")
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 2)
        answered_once(post, first, second)
        await post.nothing_at_globex()


async def test_the_answer_is_lost_after_data_and_the_service_killed_and_yet_it_is_one_mail() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm("smtp_drop_after_data")
        asked = post.writes("help")
        await killing.dies(serving.serve, post.base.url, None, fault="effect.performed")
        assert len(post.sent()) == 1
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 1)
        answered_once(post, asked)
        assert len(post.server.submissions) == 1  # it was found in Sent, and not even handed over again
        (told,) = await post.signals("email.sent")
        assert '"found":true' in told["payload"].replace(" ", "")


@pytest.mark.parametrize("fault", ["smtp_drop_before_sending", "smtp_fail_data", "smtp_fail_mail"])
async def test_what_did_not_leave_is_sent_again_as_it_was(fault: str) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.arm(fault)
        asked = post.writes("help")
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 1)
        answered_once(post, asked)


async def test_mail_that_came_while_the_service_was_down_and_was_read_by_a_person_is_answered() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        post.server.deliver(FLEET, mail("help", message_id="<read@customer.example>"), seen=True)
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 1)
        meanwhile = post.writes("help", subject="meanwhile")
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 2)
        answered_once(post, "<read@customer.example>", meanwhile)


async def test_a_rebuilt_mailbox_is_not_answered_anew_but_what_comes_meanwhile_is() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        asked = [post.writes("help", subject=f"{number}") for number in range(3)]
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 3)
        post.server.rebuild(FLEET)
        asked.append(post.writes("help", subject="meanwhile"))
        with killing.running(serving.serve, post.base.url, None):
            await all_over(post, 4)
            post.server.rebuild(FLEET)
            post.server.cut_connections()
            asked.append(post.writes("help", subject="while it runs"))
            await all_over(post, 5)
        answered_once(post, *asked)


async def is_pressing(post: Post, slow: SandboxMailbox, installation_id: UUID) -> bool:
    """Some of its mails hang, and the others want to be sent; or they have taken all slots there are for it."""
    query = "select count(*) as n from directives where name = 'email.send' and installation_id = $1"
    waiting = (await post.rows(query, installation_id))[0]["n"]
    return bool(slow.submissions) and (waiting == SLOW_MAILS or len(slow.submissions) >= SHARE)


async def test_a_slow_mailbox_does_not_delay_the_other() -> None:
    """More of its mails hang than a worker has slots, and no cap holds any of them back: each has its own sender."""
    async with post_office() as post, SandboxMailbox() as slow:
        await post.install(policy="send", answers_per_sender_per_hour="100")
        slow_post = Post(post.base, post.house, post.connectors, slow)
        stuck = await slow_post.install("slow@acme.example", name="slow", policy="send", look_up_s="60")
        slow.arm("smtp_hole_after_data", SLOW_MAILS)
        for number in range(SLOW_MAILS):
            sender = f"c{number}@customer.example"
            slow.deliver("slow@acme.example", mail("help", to="slow@acme.example", sender=sender))
        with killing.running(serving.serve, post.base.url, None):
            async with asyncio.timeout(30):
                while not await is_pressing(post, slow, stuck.id):
                    await asyncio.sleep(0.05)
            asked = [post.writes("help", subject=f"{number}") for number in range(4)]
            await post.mails(4)
        answered_once(post, *asked)
