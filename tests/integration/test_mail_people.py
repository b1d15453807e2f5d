"""What customers ask of tools waits for a person; what people of ours write by hand belongs to the thread; history stays history."""

from __future__ import annotations

import json
import time

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide
from fleetprompt.sandbox.order_desk import OrderDesk
from tests.connected import OPERATOR, QUICK, until
from tests.house import ACME
from tests.mail_stage import DANA, FLEET, mail, plain_text
from tests.mailed import post_office, serving


async def test_a_customer_cannot_make_a_tool_change_anything_and_never_reads_of_approvals() -> None:
    async with (
        OrderDesk() as desk,
        post_office(settings=QUICK.model_copy(update={"order_desk_url": desk.url})) as post,
    ):
        await post.install(policy="send")
        await post.rows(
            "update agents set tools = '{orders.lookup,orders.hold}', scopes = '{orders:read,orders:write}', policies = $1",
            '{"approvals": {"*": "auto"}}',
        )
        async with serving(post):
            post.writes("put order 1042 on hold because I moved")

            async def asked() -> object:
                rows = await post.rows("select * from directives where name = 'orders.hold'")
                return rows[0] if rows and rows[0]["state"] == "awaiting_approval" else None

            hold = await until(asked, 30)
            await post.quiet()
            assert (list(desk.ledger), post.server.submissions) == ([], [])
            async with post.house.tenancy.session(ACME) as session:
                await decide.approve(session, post.house.registry, DirectiveId(hold["id"]), OPERATOR)
            (sent,) = await post.mails(1)
            (run,) = await post.rows("select tainted, input from executions")
    assert run["tainted"] is True
    assert json.loads(run["input"])["person_id"] == DANA
    assert [one.number for one in desk.ledger] == ["1042"]
    assert "on hold" in plain_text(sent.raw)


async def test_a_customer_chooses_no_agent_by_its_name() -> None:
    from fleetprompt.runtime.agents.manage import create_agent

    async with post_office() as post:
        async with post.house.tenancy.session(ACME) as session:
            await create_agent(session, post.house.registry, "treasurer", OPERATOR)
        await post.install(policy="send", agent="fleet")
        async with serving(post):
            post.writes("treasurer, help")
            await post.mails(1)
            (run,) = await post.rows("select name from executions e join agents a on a.id = e.agent_id")
    assert run["name"] == "fleet"


async def test_what_a_person_of_ours_writes_by_hand_joins_the_thread_and_lifts_the_cap() -> None:
    async with post_office() as post:
        await post.install(policy="send", folders="INBOX,Sent", max_answers_per_thread="1")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            again = post.writes("help again", headers=[f"References: {first.message_id}"])
            await post.signals("agent.loop.stopped")
            by_hand = mail("I take over.", sender=FLEET, to=DANA, headers=[f"In-Reply-To: {again}"])
            post.server.deliver(FLEET, by_hand, ["Sent"], received_at_s=time.time() + 1)

            async def joined() -> object:
                return await post.rows(
                    "select * from messages where author_kind = 'self' and directive_id is null"
                )

            (message,) = await until(joined, 30)
            ours = await post.rows("select text from messages where author_kind = 'self'")
            post.server.skip(2)
            post.writes("thanks, and now?", headers=[f"References: {first.message_id}"])
            await post.mails(2)
            await post.quiet()
            signals = await post.signals("email.inbound.received", 3)
    assert message["text"].strip() == "I take over."
    assert len(ours) == 2  # the echo of the answer is the answer
    assert len(signals) == 3


async def test_mail_from_before_the_install_is_history_unless_it_is_asked_for() -> None:
    hour_ago = time.time() - 3600
    async with post_office() as post:
        for address, since in (("old@acme.example", ""), ("kept@acme.example", "2020-01-01")):
            post.server.create_account(address)
            post.server.deliver(address, mail("help", to=address), received_at_s=hour_ago)
            await post.install(address, name=address.partition("@")[0], policy="send", since=since)
        async with serving(post):
            post.writes("help", to="old@acme.example", subject="now")
            sent = await post.mails(2)
            await post.quiet()
    assert sorted(one.account for one in post.sent()) == ["kept@acme.example", "old@acme.example"]
    assert len(sent) == 2
