"""Attachments and raw mails come out as they came in; bodies are kept as long as the mailbox's setting says."""

from __future__ import annotations

import base64
import json
import os
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from fleetprompt.connectors.proton_mail import retention
from fleetprompt.connectors.proton_mail.attachments import read_attachment, read_mail
from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Installation
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.directives.decide import approve
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.retention import oldest_id
from tests.connected import OPERATOR, until, working
from tests.house import ACME
from tests.integration.test_mail_notices import chat_beside
from tests.mail_stage import FLEET
from tests.mailed import Post, post_office, serving

OLD_TABLES = ("signals", "executions", "messages", "directives")


def with_attachment(content: bytes) -> bytes:
    body = base64.encodebytes(content).replace(b"\n", b"\r\n")
    head = f"""From: dana@customer.example
To: {FLEET}
Subject: The invoice
Message-ID: <attached@customer.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

help
--b
Content-Type: application/octet-stream; name="../../invoice.pdf"
Content-Disposition: attachment; filename="../../invoice.pdf"
Content-Transfer-Encoding: base64

"""
    return head.replace("\n", "\r\n").encode() + body + b"--b--\r\n"


async def test_an_attachment_of_many_chunks_comes_out_as_it_was() -> None:
    content = b"%PDF-1.7\n" + os.urandom(1_500_000)
    async with post_office() as post:
        await post.install(policy="send")
        stored = post.server.deliver(FLEET, with_attachment(content))
        async with serving(post):
            (signal,) = await post.signals("email.inbound.received")
        async with post.house.tenancy.session(ACME) as session:
            name, found = await read_attachment(session, signal["id"], 1)
            whole = await read_mail(session, signal["id"])
            with pytest.raises(NotFound, match="1 attachment"):
                await read_attachment(session, signal["id"], 2)
        chunks = await post.rows("select count(*) as n from mail_chunks")
    assert (name, found == content, whole == stored.raw) == ("invoice.pdf", True, True)
    assert chunks[0]["n"] > 5


async def test_bodies_go_after_their_days_and_the_audit_stays() -> None:
    async with post_office() as post:
        await post.install(policy="send", keep_bodies_days="8")
        async with serving(post):
            post.writes("help")
            post.writes("help, " + "please, " * 200)  # so long that its words stand in the fact alone
            await post.mails(2)
            await post.directive("succeeded", nth=1)
            await post.quiet()
        await retain(post)
        assert (await post.rows("select count(*) as n from mail_chunks"))[0]["n"] == 2
        await age(post, 9)
        await retain(post)
        directives = await post.rows(
            "select arguments, arguments_digest from directives where name = 'email.send'"
        )
        effects = await post.rows(
            "select e.request, e.state from effects e join directives d on d.id = e.directive_id"
            " where d.name = 'email.send'"
        )
        left = {
            table: (await post.rows(f"select count(*) as n from {table}"))[0]["n"]
            for table in ("mail_chunks", "executions")
        }
        texts = await post.rows("select text from messages")
        inbound = await post.rows("select 1 from signals where name like 'email.inbound.%'")
    assert left == {"mail_chunks": 0, "executions": 0}
    assert (inbound, {row["text"] for row in texts}) == ([], {""})
    assert len(directives) == len(effects) == 2
    assert all('"raw"' not in effect["request"] and effect["state"] == "sent" for effect in effects)
    assert all('"text": ""' in one["arguments"] and len(one["arguments_digest"]) == 64 for one in directives)


async def test_what_the_chat_was_told_of_a_draft_goes_with_the_bodies_and_other_words_stay() -> None:
    async with post_office() as post, chat_beside(post) as (_, channel):
        await post.install(keep_bodies_days="8", notice_channel=channel)
        async with serving(post):
            await _posts(post, channel, "Unrelated words.")
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            words = json.loads(draft["arguments"])["text"].splitlines()[0]
            async with post.house.tenancy.session(ACME) as session:
                await approve(session, post.house.registry, draft["id"], OPERATOR)
            await post.directive("succeeded")
            await until(lambda: post.rows("select 1 from messages where text like '%A draft waits%'"), 30)
            await post.quiet()
        await retain(post)
        before = await _kept(post)
        await age(post, 9)
        await retain(post)
        after = await _kept(post)
        notices = await post.rows(
            "select * from directives where name = 'mattermost.post.create' and arguments ->> 'text' = ''"
        )
    assert [words in before[table] for table in KEPT] == [True, True, True]
    assert [words in after[table] for table in KEPT] == [False, False, False]
    assert "Unrelated words." in after["directives"]
    assert [(row["state"], len(row["arguments_digest"])) for row in notices] == [("succeeded", 64)]


KEPT = ("directives", "effects", "messages")


async def _kept(post: Post) -> dict[str, str]:
    """table -> all that stands in it."""
    return {
        table: str((await post.rows(f"select json_agg(t)::text as all_of_it from {table} t"))[0]["all_of_it"])
        for table in KEPT
    }


async def _posts(post: Post, channel: str, text: str) -> None:
    async with post.house.tenancy.session(ACME) as session:
        chat = await session.scalar(select(Installation.id).where(Installation.package == "mattermost"))
        arguments = {"channel_id": channel, "text": text}
        new = NewDirective(
            "mattermost.post.create", "unrelated", arguments, "A test.", OPERATOR, installation_id=chat
        )
        await request(session, post.house.registry, new)


async def test_a_mailbox_that_is_rebuilt_after_quiet_weeks_has_nothing_answered_twice() -> None:
    """Bodies are kept for eight days; the last mail came three weeks ago, and is within a week of itself."""
    async with post_office() as post:
        await post.install(policy="send", keep_bodies_days="8")
        async with serving(post):
            for text in ("help with one", "help with another"):
                post.writes(text)
            await post.mails(2)
            await post.quiet()
        await age(post, 21)
        await retain(post)
        assert not await post.rows("select 1 from signals where name like 'email.inbound.%'")
        kept = await post.rows("select * from mail_known")
        assert [[len(value) for value in row.values()] for row in kept] == [[32], [32]]
        post.server.rebuild(FLEET)
        async with serving(post):
            post.writes("help with a third")
            (third,) = await post.signals("email.inbound.received")
            await post.mails(3)
            await post.quiet()
            post.server.rebuild(FLEET)
            post.writes("help with a fourth")
            await post.mails(4)
            await post.quiet()
        assert "third" in third["payload"]
        assert len(await post.rows("select 1 from signals where name = 'email.inbound.received'")) == 2
        assert len(post.sent()) == 4


async def test_whom_answers_were_for_is_forgotten_whole_however_many_each_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch ends between the addresses of a run."""
    monkeypatch.setattr(retention, "BATCH", 2)
    async with post_office() as post:
        installation = await post.install(policy="send", keep_bodies_days="8")
        for days in (9, 10, 11, 1):
            await post.rows(
                "insert into mail_answers (execution_id, address, installation_id)"
                " select $1, 'a' || n || '@customer.example', $2 from generate_series(1, 3) n",
                oldest_id(days),
                installation.id,
            )
        await retain(post)
        left = await post.rows("select distinct execution_id from mail_answers")
        count = await post.rows("select 1 from mail_answers")
    assert (len(left), len(count)) == (1, 3)


async def retain(post: Post) -> None:
    """Run the daily job now."""
    async with post.house.tenancy.session(ACME) as session:
        await enqueue(session, NewJob("mail.retention", {}, unique_key=f"test:{clock.now_ms()}"))
    async with working(post.house):
        await post.quiet()


async def age(post: Post, days: int) -> None:
    """Move the ids of what there is into the past, as they would have been made."""
    bound = oldest_id(days)
    assert isinstance(bound, UUID)
    assert timedelta(days=days)
    moved = "overlay(id::text placing left($1::uuid::text, 13) from 1 for 13)::uuid"
    await post.rows("alter table effects drop constraint effects_directive_id_fkey")
    for table in ("model_calls", "tool_calls", "execution_steps"):
        await post.rows(f"delete from {table}")
    for table in ("effects", "messages"):
        await post.rows(
            f"update {table} set directive_id = "
            "overlay(directive_id::text placing left($1::uuid::text, 13) from 1 for 13)::uuid",
            bound,
        )
    await post.rows(f"update effects set id = {moved}", bound)
    for table in OLD_TABLES[1:]:
        await post.rows(f"update {table} set id = {moved}", bound)
    await post.rows("alter table signals disable trigger immutable")
    await post.rows("alter table mail_chunks drop constraint mail_chunks_signal_id_fkey")
    await post.rows(
        "alter table mail_chunks add foreign key (signal_id) references signals (id)"
        " on delete cascade on update cascade"
    )
    await post.rows(f"update signals set id = {moved}", bound)
