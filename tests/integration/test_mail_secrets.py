"""A secret in a mail: stored nowhere, told to the team and never to whoever wrote."""

from __future__ import annotations

import json

from fleetprompt.connectors.proton_mail.attachments import read_mail
from tests.connected import until
from tests.house import ACME
from tests.integration.test_mail_notices import chat_beside
from tests.mailed import post_office, serving

TOKEN = f"ghp_{'aB3' * 12}"


async def test_the_team_is_told_and_the_raw_mail_holds_stars() -> None:
    async with post_office() as post, chat_beside(post) as (chat, channel):
        await post.install(notice_channel="~support", policy="send")
        async with serving(post):
            post.writes(f"help, our token is {TOKEN} as ever", subject="A token")
            (fact,) = await post.signals("secret.redacted")

            async def told() -> list[str]:
                return [one.message for one in chat.posts(channel) if "secret" in one.message]

            (notice,) = await until(told)
            await post.quiet()
        (mail,) = await post.signals("email.inbound.received")
        async with post.house.tenancy.session(ACME) as session:
            raw = await read_mail(session, mail["id"])
        rows = await post.rows("select t::text as words from signals t")
        rows += await post.rows("select t::text as words from messages t")
    assert (fact["causation_id"], fact["conversation_id"]) == (mail["id"], mail["conversation_id"])
    assert json.loads(fact["payload"])["advise"] is False
    assert "github token" in notice
    assert str(mail["id"]) in notice
    assert b"our token is " + b"*" * len(TOKEN) + b" as ever" in raw
    assert not [row for row in rows if TOKEN in row["words"]]
    assert [one for one in post.sent() if "revoke" in str(one)] == []
