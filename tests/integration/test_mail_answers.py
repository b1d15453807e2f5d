"""A customer's mail is answered in its thread: asserted on the bytes that left."""

from __future__ import annotations

import json

from tests.mail_stage import DANA, FLEET, plain_text
from tests.mailed import header_lines, post_office, read, serving

LONG = "<" + "x" * 90 + "==@protonmail.internalid.example>"


async def test_a_mail_is_answered_once_in_its_thread() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            earlier = "<before@customer.example>"
            asked = post.writes(
                "help", message_id=LONG, headers=[f"References: {earlier}", f"In-Reply-To: {earlier}"]
            )
            (sent,) = await post.mails(1)
            directive = await post.directive("succeeded")
            await post.quiet()
        assert asked == LONG
        assert len(post.sent()) == 1
        assert (sent.sender, sent.recipients) == (FLEET, (DANA,))
        assert header_lines(sent.raw, "In-Reply-To") == LONG
        references = header_lines(sent.raw, "References")
        assert references.startswith(f"{earlier}\r\n {LONG}\r\n <")
        assert references.endswith("@protonmail.internalid>")
        assert read(sent.raw)["Subject"] == "Re: A question"
        said = json.loads(directive["arguments"])["text"]
        assert plain_text(sent.raw).split() == said.split()
        await post.nothing_at_globex()
