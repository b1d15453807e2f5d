"""A secret that is pasted into a chat is stored nowhere: not as text, not in raw bytes, not in an edit, not when awaited."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Author, AuthorKind, EventKind, Inbound, Place
from fleetprompt.connectors.ingest import Source, ingest
from fleetprompt.connectors.pasted import RAW, WITHHELD, raw_to_keep
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.secret_shapes import REMOVED
from fleetprompt.model import Installation
from fleetprompt.packages import secret_links
from fleetprompt.packages.secret_links import Asker
from tests.connected import Stage, connected_house, until, working
from tests.house import ACME, GLOBEX
from tests.integration.test_connectors_ingest import DANA, HERE, deleted, edited, said

TOKEN = f"ghp_{'aB3' * 12}"
PEM = "-----BEGIN PRIVATE KEY-----\nMIICdgIBADANBg\n-----END PRIVATE KEY-----"
PASSPHRASE = "correct horse battery staple"
THREAD = Place("c1", "public", "t1", "support")
DIRECT = Place("d1", "direct")
ALL_ROWS = "select t::text as words, encode(coalesce(r.body, ''), 'escape') as raw from signals t left join signal_raw r on r.signal_id = t.id"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


@pytest.fixture
def source(stage: Stage, installation: Installation) -> Source:
    return stage.source(installation)


def framed(event: Inbound) -> Inbound:
    """With raw bytes as a chat server sends them: JSON in JSON."""
    post = {
        "id": event.external_id,
        "message": event.text,
        "props": {"attachments": [{"footer": event.text}]},
    }
    return replace(event, raw=json.dumps({"event": "posted", "data": {"post": json.dumps(post)}}).encode())


async def take(stage: Stage, source: Source, *batch: Inbound) -> None:
    await ingest(stage.house.tenancy, stage.house.registry, source, [framed(one) for one in batch])


async def stored(stage: Stage) -> str:
    """All that was written of what came in."""
    rows = await stage.base.tenant_rows(ACME, ALL_ROWS)
    texts = await stage.base.tenant_rows(ACME, "select text from messages")
    return "\n".join([*(row["words"] + row["raw"] for row in rows), *(row["text"] for row in texts)])


async def facts(stage: Stage) -> list[dict[str, Any]]:
    query = "select payload from signals where name = 'secret.redacted' order by id"
    return [json.loads(row["payload"]) for row in await stage.base.tenant_rows(ACME, query)]


async def awaiting(stage: Stage, installation: Installation, place: Place = THREAD) -> str:
    """Dana was asked for a secret in that thread; returns the link's token."""
    async with stage.house.tenancy.session(ACME) as session:
        query = "select id from conversations where channel_id = $1 and thread_id = $2"
        [row] = await stage.base.tenant_rows(ACME, query, place.channel_id, place.thread_id)
        asker = Asker(installation.id, DANA.id, row["id"])
        return await secret_links.issue(
            session, user_id=new_id(), installation_id=installation.id, credential="bot_token", asker=asker
        )


@pytest.mark.parametrize("secret", [TOKEN, PEM, "fpk_" + "a" * 43])
async def test_what_has_a_secrets_shape_is_gone_and_the_rest_goes_on(
    stage: Stage, source: Source, secret: str
) -> None:
    await take(stage, source, said(f"@fleet use {secret} please"))
    words = await stored(stage)
    assert secret not in words
    assert secret.splitlines()[1:2] == [] or secret.splitlines()[1] not in words
    [message] = await stage.base.tenant_rows(ACME, "select text from messages")
    assert message["text"] == f"@fleet use {REMOVED} please"
    query = "select payload from signals where name = 'chat.message.received'"
    payload = json.loads((await stage.base.tenant_rows(ACME, query))[0]["payload"])
    assert (payload["request"], payload["addressed"]) == (f"use {REMOVED} please", True)
    [fact] = await facts(stage)
    assert fact["author"]["id"] == DANA.id
    assert fact["conversation_id"] == payload["conversation_id"]


async def test_raw_bytes_without_a_secret_stay_as_they_came(stage: Stage, source: Source) -> None:
    event = framed(said("@fleet where is 1042?"))
    await take(stage, source, event)
    [row] = await stage.base.tenant_rows(ACME, "select body from signal_raw")
    assert row["body"] == event.raw
    assert await facts(stage) == []


async def test_a_secret_that_an_edit_brings_is_gone_too(stage: Stage, source: Source) -> None:
    first = said("hello")
    await take(stage, source, first, edited(first, f"hello {TOKEN}"))
    assert TOKEN not in await stored(stage)
    assert [fact["event"] for fact in await facts(stage)] == ["edited"]


async def test_the_person_is_told_once_in_the_thread(stage: Stage, source: Source) -> None:
    async with working(stage.house):
        await take(stage, source, said(TOKEN))
        await take(stage, source, said(TOKEN))

        async def told() -> list[Any]:
            return await stage.base.tenant_rows(ACME, "select arguments from directives")

        [directive] = await until(told)
    arguments = json.loads(directive["arguments"])
    assert arguments["thread_id"] == "p1"
    assert "github token" in arguments["text"]
    assert "revoke" in arguments["text"]
    assert TOKEN not in arguments["text"]
    assert len(await facts(stage)) == 1


async def test_machines_are_not_told(stage: Stage, source: Source) -> None:
    machine = Author("hook", AuthorKind.WEBHOOK, "hook")
    ours = Author("bot", AuthorKind.SELF, "fleet")
    await take(stage, source, said(TOKEN, "p1", author=machine), said(TOKEN, "p2", author=ours))
    assert [fact["advise"] for fact in await facts(stage)] == [False]
    assert TOKEN not in await stored(stage)


@pytest.mark.parametrize("place", [THREAD, DIRECT])
async def test_whatever_is_written_where_a_secret_is_awaited_is_gone(
    stage: Stage, installation: Installation, source: Source, place: Place
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    await take(stage, source, said(f"@fleet {PASSPHRASE}", "p2", place=place))
    words = await stored(stage)
    assert PASSPHRASE not in words
    assert RAW.decode() in words
    query = "select payload from signals where name = 'chat.message.received' order by id desc limit 1"
    payload = json.loads((await stage.base.tenant_rows(ACME, query))[0]["payload"])
    assert (payload["text"], payload["request"], payload["addressed"]) == (WITHHELD, WITHHELD, False)
    assert [fact["kinds"] for fact in await facts(stage)] == [["awaited"]]


@pytest.mark.parametrize("follow", [deleted, lambda first: edited(first, f"{PASSPHRASE} oops")])
async def test_what_was_removed_comes_back_by_no_later_frame(
    stage: Stage, installation: Installation, source: Source, follow: Any
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    first = said(PASSPHRASE, "p2", place=THREAD)
    await take(stage, source, first)
    await closed(stage)
    later = follow(first)
    frame = json.dumps({"post": json.dumps({"message": PASSPHRASE})}).encode()
    await ingest(stage.house.tenancy, stage.house.registry, source, [replace(later, raw=frame)])
    assert PASSPHRASE not in await stored(stage)


async def closed(stage: Stage) -> None:
    change = "update secret_links set closed_because = 'used', expires_at = now() returning id"
    assert await stage.base.tenant_rows(ACME, change)


async def test_others_other_threads_and_later_words_stay(
    stage: Stage, installation: Installation, source: Source
) -> None:
    eve = Author("eve-id", AuthorKind.PERSON, "eve")
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    elsewhere = said("a word elsewhere", "p3", place=HERE)
    await take(stage, source, said("a word of eve", "p2", place=THREAD, author=eve), elsewhere)
    await closed(stage)
    await take(stage, source, said("a word afterwards", "p4", place=THREAD))
    words = await stored(stage)
    assert all(one in words for one in ("a word of eve", "a word elsewhere", "a word afterwards"))
    assert await facts(stage) == []


async def test_a_lone_word_that_could_be_it_is_gone_elsewhere_too(
    stage: Stage, installation: Installation, source: Source
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    token = "k3" * 13
    await take(stage, source, said(token, "p3", place=HERE))
    assert token not in await stored(stage)


@pytest.mark.parametrize("command", ["@fleet status", "@fleet secret mattermost", "@fleet confirm P-7F3K"])
async def test_a_command_of_known_words_stays_while_a_secret_is_awaited(
    stage: Stage, installation: Installation, source: Source, command: str
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    await take(stage, source, said(command, "p2", place=THREAD))
    assert await facts(stage) == []
    await take(stage, source, said(f"{command} hunter", "p3", place=THREAD))
    assert len(await facts(stage)) == 1


async def test_what_is_read_late_was_awaited_when_it_was_written(
    stage: Stage, installation: Installation, source: Source
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    await awaiting(stage, installation)
    at_ms = await _passed(stage)
    late = said(PASSPHRASE, "p2", place=THREAD, sent_at_ms=at_ms, caught_up=True)
    much_later = said("good morning", "p3", place=THREAD, sent_at_ms=at_ms + 7_200_000, caught_up=True)
    await take(stage, source, late, much_later)
    words = await stored(stage)
    assert PASSPHRASE not in words
    assert "good morning" in words


async def test_of_what_cannot_be_stored_no_secret_is_kept_either(
    stage: Stage, installation: Installation, source: Source
) -> None:
    await take(stage, source, said("@fleet secret mattermost", "t1", place=THREAD))
    shaped, other = framed(said(TOKEN, "p2", place=HERE)), framed(said("good morning", "p3", place=HERE))
    async with stage.house.tenancy.session(ACME) as session:
        assert TOKEN.encode() not in await raw_to_keep(session, installation.id, shaped)
        assert await raw_to_keep(session, installation.id, other) == other.raw
    await awaiting(stage, installation)
    async with stage.house.tenancy.session(ACME) as session:
        assert await raw_to_keep(session, installation.id, other) == RAW


async def test_a_message_that_was_a_secret_alone_may_be_edited_into_words(
    stage: Stage, source: Source
) -> None:
    first = said(TOKEN)
    await take(stage, source, first, edited(first, "sorry, the wrong window"))
    [message] = await stage.base.tenant_rows(ACME, "select text from messages")
    assert message["text"] == "sorry, the wrong window"


async def _passed(stage: Stage) -> int:
    """The link expired an hour ago; returns a moment in its time, unix ms."""
    change = (
        "update secret_links set created_at = now() - interval '75 minutes', expires_at = now() - interval '1 hour'"
        " returning extract(epoch from created_at)"
    )
    return int((await stage.base.tenant_rows(ACME, change))[0][0] * 1000) + 60_000


async def test_no_other_tenants_links_are_looked_at(stage: Stage, source: Source) -> None:
    await take(stage, source, said("one", "t1", place=THREAD))
    foreign = UUID(int=7)
    made = (
        "insert into installations (id, package, version, name, state, config, account, start_at_ms, generation)"
        " values ($1, 'mattermost', '1.0.0', 'x', 'installed', '{}', '{}', 0, 1)"
    )
    await stage.base.tenant_rows(GLOBEX, made, foreign)
    async with stage.house.tenancy.session(GLOBEX) as session:
        asker = Asker(source.installation_id, DANA.id, new_id())
        await secret_links.issue(
            session, user_id=new_id(), installation_id=foreign, credential="bot_token", asker=asker
        )
    await take(stage, source, said("two", "p2", place=DIRECT))
    assert EventKind.MESSAGE.value in await stored(stage)
    assert await facts(stage) == []
