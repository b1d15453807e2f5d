"""What a wire tells becomes signals, conversations and messages, in one transaction, once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors.ingest import Source, Superseded, ingest
from fleetprompt.model import Installation
from fleetprompt.runtime.signals import Emitted
from tests.connected import Stage, connected_house, working
from tests.house import ACME, GLOBEX

DANA = Author("dana-id", AuthorKind.PERSON, "dana")
HERE = Place("c1", "public", "", "support")


def said(
    text: str, external_id: str = "p1", *, place: Place = HERE, author: Author = DANA, **more: Any
) -> Inbound:
    fields: dict[str, Any] = {
        "kind": EventKind.MESSAGE,
        "event_key": f"post:{external_id}",
        "sent_at_ms": 1_700_000_000_000,
        "addressed": text.startswith("@fleet"),
        "raw": text.encode("utf-8", "replace"),
        "cursor": Cursor(f"after {external_id}"),
        **more,
    }
    return Inbound(external_id=external_id, author=author, place=place, text=text, **fields)


def edited(message: Inbound, text: str, at_ms: int = 1_700_000_001_000) -> Inbound:
    key = f"edited:{message.external_id}:{at_ms}"
    return replace(message, kind=EventKind.EDITED, event_key=key, text=text, addressed=False)


def deleted(message: Inbound) -> Inbound:
    key = f"deleted:{message.external_id}"
    return replace(message, kind=EventKind.DELETED, event_key=key, text="", addressed=False)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt(allowed_bots="helper")


@pytest.fixture
def source(stage: Stage, installation: Installation) -> Source:
    return stage.source(installation)


async def take(stage: Stage, source: Source, *batch: Inbound) -> list[Emitted]:
    return await ingest(stage.house.tenancy, stage.house.registry, source, batch)


async def signals(stage: Stage) -> list[Any]:
    return await stage.base.tenant_rows(ACME, "select * from signals order by id")


async def messages(stage: Stage) -> list[Any]:
    return await stage.base.tenant_rows(ACME, "select * from messages order by sent_at_ms, external_id")


async def test_a_mention_is_a_signal_a_message_a_job_and_a_cursor(stage: Stage, source: Source) -> None:
    [emitted] = await take(stage, source, said("@fleet: where is 1042?"))
    [signal] = await signals(stage)
    [message] = await messages(stage)
    payload = json.loads(signal["payload"])
    assert emitted.id == signal["id"] == message["signal_id"]
    assert (signal["name"], signal["actor_kind"]) == ("chat.message.received", "human")
    assert (payload["request"], payload["text"]) == ("where is 1042?", "@fleet: where is 1042?")
    assert payload["message_id"] == str(message["id"])
    assert payload["lane"] == f"conversation:{message['conversation_id']}"
    assert await stage.base.value("select count(*) from public.job where kind = 'signal.handle'") == 1
    cursor = await stage.base.tenant_rows(ACME, "select cursor from installation_cursors")
    assert cursor[0]["cursor"] == "after p1"
    for table in ("signals", "messages", "conversations", "installation_cursors"):
        assert await stage.base.tenant_rows(GLOBEX, f"select 1 from {table}") == []


async def test_a_repeated_event_changes_nothing(stage: Stage, source: Source) -> None:
    first = said("@fleet hello")
    [told] = await take(stage, source, first)
    await take(stage, source, edited(first, "@fleet hello there"))
    [again] = await take(stage, source, replace(first, caught_up=True))
    assert (again.fresh, again.id) == (False, told.id)
    assert [m["text"] for m in await messages(stage)] == ["@fleet hello there"]
    assert await stage.base.value("select count(*) from public.job where kind = 'signal.handle'") == 1


async def test_a_batch_may_tell_of_one_message_several_times(stage: Stage, source: Source) -> None:
    first, other = said("@fleet one"), said("@fleet two", "p2")
    batch = (first, edited(first, "@fleet uno"), other, deleted(other), first)
    emitted = await take(stage, source, *batch)
    assert [signal.fresh for signal in emitted] == [True, True, True, True, False]
    rows = await messages(stage)
    assert [(m["text"], m["edited"], m["deleted"]) for m in rows] == [
        ("@fleet uno", True, False),
        ("", False, True),
    ]
    names = [signal["name"] for signal in await signals(stage)]
    assert names.count("chat.message.edited") == names.count("chat.message.deleted") == 1


async def test_a_thread_a_top_level_post_and_a_direct_message_are_conversations(
    stage: Stage, source: Source
) -> None:
    direct = Place("d1", "direct")
    await take(
        stage,
        source,
        said("@fleet root", "root"),
        said("reply", "r1", place=replace(HERE, thread_id="root")),
        said("another root", "p9"),
        said("hi", "d1", place=direct),
        said("again", "d2", place=direct),
    )
    rows = await stage.base.tenant_rows(
        ACME,
        "select c.thread_id, count(*) as n from conversations c join messages m on m.conversation_id = c.id"
        " group by 1 order by 1",
    )
    assert [tuple(row) for row in rows] == [("", 2), ("p9", 1), ("root", 2)]


async def test_messages_of_one_millisecond_keep_their_order(stage: Stage, source: Source) -> None:
    texts = [f"{number:02}" for number in range(30)]
    await take(stage, source, *(said(text, f"p{text}") for text in texts))
    rows = await stage.base.tenant_rows(ACME, "select text from messages order by sent_at_ms, id")
    assert [row["text"] for row in rows] == texts


async def test_a_deleted_root_takes_its_thread_along(stage: Stage, source: Source) -> None:
    root = said("@fleet root", "root")
    await take(stage, source, root, said("reply", "r1", place=replace(HERE, thread_id="root")))
    await take(stage, source, deleted(root))
    assert [(m["text"], m["deleted"]) for m in await messages(stage)] == [("", True), ("", True)]


async def test_a_late_edit_brings_a_deleted_message_not_back(stage: Stage, source: Source) -> None:
    first = said("@fleet hello")
    await take(stage, source, first, deleted(first), edited(first, "@fleet secret"))
    assert [(m["text"], m["deleted"]) for m in await messages(stage)] == [("", True)]


async def test_our_own_echo_is_projected_and_wakes_nobody(stage: Stage, source: Source) -> None:
    emitted = await take(stage, source, said("An answer.", author=Author("bot", AuthorKind.SELF)))
    assert emitted == []
    assert await signals(stage) == []
    assert [(m["author_kind"], m["text"]) for m in await messages(stage)] == [("self", "An answer.")]
    assert await stage.base.value("select count(*) from public.job") == 0


async def test_an_echo_before_the_receipt_and_one_after_it_are_one_message(
    stage: Stage, installation: Installation, source: Source
) -> None:
    async with working(stage.house):
        directive_id = await stage.post(installation, "An answer.")
        await stage.directive(directive_id)
    [post] = [p for p in stage.server.posts() if p.user_id == stage.bot.id and not p.type]
    place = Place(stage.support.id, "public")
    echo = said("An answer.", post.id, place=place, author=Author(stage.bot.id, AuthorKind.SELF))
    await take(stage, source, echo)
    assert [m["directive_id"] for m in await messages(stage)] == [directive_id]


async def test_hostile_text_is_stored_clean_and_its_bytes_exactly(stage: Stage, source: Source) -> None:
    text = "@fleet a\x00b \ud800 \u202egnp.exe"
    raw = b'{"message": "a\x00b"}'
    await take(stage, source, said(text, raw=raw))
    [message] = await messages(stage)
    assert message["text"] == "@fleet a\ufffdb \ufffd \u202egnp.exe"
    assert (await stage.base.tenant_rows(ACME, "select body from signal_raw"))[0]["body"] == raw


async def test_being_added_and_removed_are_facts_without_a_conversation(stage: Stage, source: Source) -> None:
    system = Author("", AuthorKind.SYSTEM)
    added = said("", "c1", author=system, kind=EventKind.ADDED, event_key="added:c1:x:1")
    gone = said("", "c1", author=system, kind=EventKind.REMOVED, event_key="removed:c1:x:2")
    await take(stage, source, added, gone)
    rows = await signals(stage)
    assert [(s["name"], s["conversation_id"]) for s in rows] == [
        ("chat.channel.joined", None),
        ("chat.channel.left", None),
    ]
    assert await messages(stage) == []


async def test_a_system_message_is_a_fact_and_no_part_of_a_conversation(stage: Stage, source: Source) -> None:
    await take(stage, source, said("@fleet joined", author=Author("x", AuthorKind.SYSTEM)))
    [signal] = await signals(stage)
    assert signal["actor_kind"] == "system"
    assert await messages(stage) == []
    assert await stage.base.value("select count(*) from public.job") == 0


@pytest.mark.parametrize(
    ("author", "allowed"),
    [
        (Author("b1", AuthorKind.BOT, "helper"), True),
        (Author("helper", AuthorKind.BOT, "x"), True),
        (Author("b1", AuthorKind.BOT, "stranger"), False),
        (Author("b1", AuthorKind.WEBHOOK, "helper"), False),
        (Author("b1", AuthorKind.PERSON, "helper"), False),
    ],
)
async def test_only_listed_bots_may_wake(stage: Stage, source: Source, author: Author, allowed: bool) -> None:
    await take(stage, source, said("@fleet hi", author=author))
    rows = await stage.base.tenant_rows(ACME, "select payload->>'allowed_automation' as a from signals")
    assert rows[0]["a"] == ("true" if allowed else "false")


async def test_a_renamed_channel_keeps_its_conversation(stage: Stage, source: Source) -> None:
    root = said("@fleet hi", "root")
    renamed = Place("c1", "public", "root", "help-desk")
    await take(stage, source, root)
    await take(stage, source, said("more", "r1", place=renamed))
    rows = await stage.base.tenant_rows(ACME, "select channel_name from conversations")
    assert [row["channel_name"] for row in rows] == ["help-desk"]


@pytest.mark.parametrize("change", ["generation = generation + 1", "state = 'disabled'"])
async def test_a_listener_with_older_settings_stores_nothing(
    stage: Stage, source: Source, change: str
) -> None:
    await stage.base.tenant_rows(ACME, f"update installations set {change}")
    with pytest.raises(Superseded):
        await take(stage, source, said("@fleet hello"))
    assert await signals(stage) == []
    assert await messages(stage) == []
