"""Several mailboxes of one organization, and one mailbox installed twice: what is ours, and what an account may send."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from fleetprompt.connectors.proton_mail.allowance import wait_for_allowance_s
from fleetprompt.model import Installation
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import uninstall
from tests.connected import OPERATOR, until
from tests.house import ACME
from tests.integration.test_mail_drafts import decided
from tests.mail_stage import DANA, FLEET, mail
from tests.mailed import Post, post_office, read, serving

SALES = "sales@acme.example"
EVE = "eve@elsewhere.example"


async def _uninstalls(post: Post, name: str = "") -> None:
    asked = await uninstall(post.house, ACME, "proton-mail", actor=OPERATOR, name=name)
    assert (await run_now(post.house, ACME, asked.directive_id, 20)).succeeded


async def _waits(post: Post, installation: Installation) -> float:
    async with post.house.tenancy.session(ACME) as session:
        return await wait_for_allowance_s(session, installation, uuid4())


async def test_an_answer_to_all_goes_to_no_mailbox_of_ours() -> None:
    async with post_office() as post:
        for address, name in ((FLEET, ""), (SALES, "sales")):
            await post.install(address, name=name, policy="send", cc="all")
        raw = mail("help", headers=[f"Cc: {EVE}, {SALES}"])
        for address in (FLEET, SALES):
            post.server.deliver(address, raw)
        async with serving(post):
            sent = await post.mails(2)
            await post.quiet()
    assert {one.account: one.recipients for one in sent} == {FLEET: (DANA, EVE), SALES: (DANA, EVE)}


async def test_a_draft_for_all_leaves_out_a_mailbox_that_became_ours_while_it_waited() -> None:
    async with post_office() as post:
        await post.install(cc="all")
        async with serving(post):
            post.writes("help", headers=[f"Cc: {EVE}, {SALES}"])
            draft = await post.directive("awaiting_approval")
            await post.install(SALES, name="sales")
            await decided(post, "approve", draft["id"])
            (sent,) = await post.mails(1)
    assert sent.recipients == (DANA, EVE)
    assert read(sent.raw)["Cc"] == EVE


async def test_a_mailbox_that_is_no_longer_ours_may_get_a_copy() -> None:
    async with post_office() as post:
        await post.install(policy="send", cc="all")
        await post.install(SALES, name="sales")
        await _uninstalls(post, "sales")
        async with serving(post):
            post.writes("help", headers=[f"Cc: {SALES}"])
            (sent,) = await post.mails(1)
    assert sent.recipients == (DANA, SALES)


async def test_a_mailbox_that_is_installed_again_goes_on_with_its_accounts_allowance() -> None:
    async with post_office() as post:
        await post.install(policy="send", mails_per_hour="1")
        async with serving(post):
            post.writes("help")
            await post.directive("succeeded")
            await post.quiet()
        await _uninstalls(post)
        again = await post.install(policy="send", mails_per_hour="1", since="")
        other = await post.install(SALES, name="sales", mails_per_hour="1")
        async with serving(post):
            post.writes("help", sender=EVE)

            async def held() -> Any:
                return await post.base.rows(
                    "select 1 from public.job where kind = 'directive.run' and state = 'available'"
                    " and scheduled_at > now() + interval '1 min'"
                )

            await until(held, 30)
        assert len(post.sent()) == 1
        assert (await _waits(post, again) > 60, await _waits(post, other)) == (True, 0)


async def test_two_installations_of_one_account_decide_one_after_the_other() -> None:
    async with post_office() as post:
        before = await post.install()
        await _uninstalls(post)
        again = await post.install()
        other = await post.install(SALES, name="sales")
        async with post.house.tenancy.session(ACME) as session:
            assert await wait_for_allowance_s(session, before, uuid4()) == 0
            second = asyncio.create_task(_waits(post, again))
            assert await asyncio.wait_for(_waits(post, other), 10) == 0
            done, _ = await asyncio.wait([second], timeout=0.5)
            assert not done
        assert await asyncio.wait_for(second, 10) == 0
