"""A mailbox that answers from another of its addresses: it logs in as ever, and all that the world sees is the alias."""

from __future__ import annotations

import json

from adapters.proton_mail import message_id_of
from tests.mail_stage import DANA, FLEET, mail
from tests.mailed import Post, header_lines, post_office, read, serving

ALIAS = "support@help.example"  # of another domain than the user name


async def aliased(post: Post) -> None:
    post.server.create_account(FLEET, aliases=[ALIAS])
    await post.install(policy="send", from_address=ALIAS, from_name="Acme Support")


async def test_from_the_envelope_and_the_message_id_are_the_alias_s() -> None:
    async with post_office() as post:
        await aliased(post)
        async with serving(post):
            post.writes("help")
            (sent,) = await post.mails(1)
            directive = await post.directive("succeeded")
            (told,) = await post.signals("email.sent")
    assert (sent.account, sent.sender, sent.recipients) == (FLEET, ALIAS, (DANA,))
    assert header_lines(sent.raw, "From") == f'"Acme Support" <{ALIAS}>'
    assert header_lines(sent.raw, "Message-ID") == sent.message_id
    assert sent.message_id == message_id_of(f"{directive['id']}.0", ALIAS)
    assert sent.message_id.endswith("@help.example>")
    assert sent.message_id in told["payload"]
    assert FLEET.encode() not in sent.raw


async def test_its_mail_is_found_in_sent_and_its_thread_goes_on_at_the_alias() -> None:
    async with post_office() as post:
        await aliased(post)
        post.server.arm("smtp_drop_after_data")
        async with serving(post):
            post.writes("help")
            (first,) = await post.mails(1)
            await post.directive("succeeded")
            in_reply_to = f"In-Reply-To: {first.message_id}"
            post.server.deliver(FLEET, mail("help again", to=ALIAS, headers=[in_reply_to]))
            (_, second) = await post.mails(2)
            told = await post.signals("email.inbound.received", 2)
            await post.directive("succeeded", nth=1)
            await post.quiet()
    assert len(post.server.submissions) == 2
    assert json.loads(told[1]["payload"])["threaded_by"] == "own_message_id"
    assert str(read(second.raw)["From"]) == f"Acme Support <{ALIAS}>"
    assert second.recipients == (DANA,)
