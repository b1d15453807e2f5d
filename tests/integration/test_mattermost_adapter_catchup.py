"""Catch-up after any gap, on a server that speaks as the recorded one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest

from adapters.contract import AuthorKind, ConnectionState, EventKind, Inbound
from adapters.mattermost import MattermostAdapter, MattermostSettings
from fleetprompt.sandbox.mattermost import Channel, SandboxMattermost
from tests.adapter_stages import QUICK, MattermostStage
from tests.listening import Ear, States, listening

NARROW = replace(QUICK, overlap_ms=1)


@pytest.fixture
async def stage() -> AsyncIterator[MattermostStage]:
    async with SandboxMattermost() as server:
        yield MattermostStage(server, server, NARROW)


@pytest.fixture
async def adapter(stage: MattermostStage) -> AsyncIterator[MattermostAdapter]:
    built = stage.adapter()
    yield built
    await built.close()


async def cursor_of_now(stage: MattermostStage) -> str:
    """Listen until all is read and something came live, as a caller that then goes down."""
    observer = States()
    reader = stage.adapter(observer)
    async with listening(reader) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        await asyncio.sleep(0.01)  # beyond the overlap
        stage.says("last before the gap")
        await ear.hears("last before the gap")
    await reader.close()
    await asyncio.sleep(0.01)
    return ear.cursor


def people(ear: Ear) -> list[Inbound]:
    return [event for event in ear.heard if event.author.kind is AuthorKind.PERSON]


async def test_thirty_mentions_and_a_direct_message_come_once_and_in_order(
    stage: MattermostStage,
) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    cursor = await cursor_of_now(stage)
    rooms = [stage.support, *(_joined(stage, f"room-{number}") for number in range(3))]
    said = [stage.server.post(stage.dana, rooms[n % 4], f"@fleet {n}").message for n in range(30)]
    stage.says("psst", direct=True)
    async with listening(adapter, cursor) as ear:
        await ear.hears(*said, "psst")
        stage.says("end")
        await ear.hears("end")
    addressed = [event for event in people(ear) if event.addressed]
    assert sorted(event.text for event in addressed) == sorted([*said, "psst"])
    for channel in rooms:
        times = [event.sent_at_ms for event in addressed if event.place.channel_id == channel.id]
        assert times == sorted(times)
    assert max(observer.backlogs) >= 8
    assert observer.backlogs[-1] == 0
    await adapter.close()


async def test_several_pages_with_posts_of_the_same_millisecond_come_whole(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    said = [stage.server.post(stage.dana, stage.support, f"m{number:03}").message for number in range(650)]
    times = [post.create_at for post in stage.server.posts(stage.support)]
    assert len(set(times)) < len(times), "the test needs posts of one millisecond"
    async with listening(adapter, cursor) as ear:
        await ear.hears(*said)
    assert [text for text in ear.texts if text.startswith("m")] == said


async def test_stopping_anywhere_in_a_catch_up_loses_nothing(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    rooms = [stage.support, *(_joined(stage, f"room-{number}") for number in range(3))]
    posts = [stage.server.post(stage.dana, rooms[n % 4], f"m{n}") for n in range(16)]
    stage.server.edit(posts[0], "m0 edited")
    stage.server.delete(posts[1])
    async with listening(adapter, cursor) as whole:
        await whole.until(lambda: f"deleted:{posts[1].id}" in whole.keys and "m15" in whole.texts)
        await whole.until(lambda: len(set(whole.texts)) >= 15)
    for stopped_after in range(len(whole.heard)):
        first = whole.heard[stopped_after]
        async with listening(adapter, first.cursor) as rest:
            stage.says(f"end {stopped_after}")
            await rest.hears(f"end {stopped_after}")
        assert set(whole.keys[stopped_after + 1 :]) <= set(rest.keys)


async def test_edits_and_deletions_are_told_and_nothing_else_wakes(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    root = stage.says("@fleet an old question")
    reacted, edited, deleted = (stage.says(f"@fleet {word}") for word in ("reacted", "edited", "deleted"))
    cursor = await cursor_of_now(stage)
    stage.says("an answer that bumps its root", thread_id=root)
    stage.server.react(stage.dana, reacted)
    stage.edits(edited, "@fleet edited now")
    stage.deletes(deleted)
    async with listening(adapter, cursor) as ear:
        await ear.until(lambda: f"deleted:{deleted}" in ear.keys)
        stage.says("end")
        await ear.hears("end")
    away = [event for event in ear.heard if event.text not in ("last before the gap", "end")]
    assert [(event.kind, event.external_id) for event in away if event.external_id == edited] == [
        (EventKind.EDITED, edited)
    ]
    assert not any(event.external_id in (root, reacted) for event in away)
    assert [event.text for event in away if event.kind is EventKind.MESSAGE] == [
        "an answer that bumps its root"
    ]
    assert not any(event.addressed for event in away)


async def test_an_edit_and_a_deletion_have_the_same_key_live_and_afterwards(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    async with listening(adapter, cursor) as live:
        message = stage.says("first")
        await live.hears("first")
        stage.edits(message, "second")
        await live.until(lambda: any(event.kind is EventKind.EDITED for event in live.heard))
        second = stage.adapter()
        async with listening(second, cursor) as afterwards:
            await afterwards.until(lambda: any(key.startswith("edited:") for key in afterwards.keys))
        await second.close()
        stage.deletes(message)
        await live.until(lambda: f"deleted:{message}" in live.keys)
    assert {key for key in afterwards.keys if message in key} <= {key for key in live.keys if message in key}


async def test_a_channel_joined_while_away_is_read_from_the_watermark(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    team = stage.server.create_team("acme")
    room = stage.server.create_channel(team, "new-room")
    stage.server.add_to_channel(stage.dana, room)
    stage.server.post(stage.dana, room, "@fleet before the watermark")
    cursor = await cursor_of_now(stage)
    stage.server.post(stage.dana, room, "@fleet before it joined")
    stage.server.add_to_channel(stage.bot, room)
    stage.server.post(stage.dana, room, "@fleet after it joined")
    async with listening(adapter, cursor) as ear:
        await ear.hears("@fleet before it joined", "@fleet after it joined")
    assert "@fleet before the watermark" not in ear.texts


async def test_messages_before_the_install_are_history(stage: MattermostStage) -> None:
    stage.says("@fleet long ago")
    installed_at = stage.server.posts()[-1].create_at + 1
    settings = MattermostSettings(stage.server.url, stage.bot.token, start_at_ms=installed_at, pace=QUICK)
    adapter = MattermostAdapter(settings)
    while stage.server.posts()[-1].create_at < installed_at:
        stage.says("@fleet now")
    async with listening(adapter) as ear:
        await ear.hears("@fleet now")
    assert "@fleet long ago" not in ear.texts
    await adapter.close()


async def test_without_a_moment_of_install_listening_begins_now(stage: MattermostStage) -> None:
    for number in range(3):
        stage.says(f"@fleet {number}")
    await asyncio.sleep(0.01)
    settings = MattermostSettings(stage.server.url, stage.bot.token, pace=replace(QUICK, overlap_ms=60_000))
    observer = States()
    adapter = MattermostAdapter(settings, observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.says("@fleet new")
        await ear.hears("@fleet new")
    assert not any(text in ear.texts for text in ("@fleet 0", "@fleet 1", "@fleet 2"))
    await adapter.close()


async def test_a_channel_that_the_bot_was_removed_from_does_not_stop_the_others(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    room = _joined(stage, "lost-room")
    stage.server.post(stage.dana, room, "@fleet unheard")
    stage.says("@fleet heard")
    stage.server.remove_from_channel(stage.bot, room)
    async with listening(adapter, cursor) as ear:
        await ear.hears("@fleet heard")


async def test_a_fault_in_the_middle_is_retried_and_what_was_told_is_not_told_again(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    rooms = [stage.support, _joined(stage, "room")]
    said = [stage.server.post(stage.dana, rooms[n % 2], f"m{n}").message for n in range(10)]
    stage.server.fail_5xx(4, only=f"GET /api/v4/channels/{rooms[1].id}")
    async with listening(adapter, cursor) as ear:
        await ear.hears(*said)
    assert len(ear.keys) == len(set(ear.keys))


async def test_a_catch_up_waits_as_long_as_a_429_says(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    cursor = await cursor_of_now(stage)
    stage.says("@fleet patience")
    stage.server.answer_429(2, 0, only="GET /api/v4/channels")
    async with listening(adapter, cursor) as ear:
        await ear.hears("@fleet patience")


async def test_an_author_who_cannot_be_looked_up_now_is_not_guessed(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    other = stage.server.create_user("helper", is_bot=True)
    stage.server.add_to_channel(other, stage.support)
    cursor = await cursor_of_now(stage)
    stage.server.post(other, stage.support, "@fleet I am a bot")
    stage.server.fail_5xx(5, only=f"GET /api/v4/users/{other.id}")
    async with listening(adapter, cursor) as ear:
        await ear.hears("@fleet I am a bot")
    assert [event.author.kind for event in ear.heard if event.text == "@fleet I am a bot"] == [AuthorKind.BOT]


async def test_the_cursor_moves_forward_only(stage: MattermostStage, adapter: MattermostAdapter) -> None:
    for number in range(5):
        _joined(stage, f"room-{number}")
        stage.says(f"m{number}")
    async with listening(adapter) as ear:
        await ear.hears("m4")
        stage.says("live")
        await ear.hears("live")
    floors = [json.loads(event.cursor)["f"] for event in ear.heard]
    assert all(earlier <= later for earlier, later in pairwise(floors))
    assert "c" not in json.loads(ear.heard[-1].cursor)


def _joined(stage: MattermostStage, name: str) -> Channel:
    channel = stage.server.create_channel(stage.server.create_team("acme"), name)
    stage.server.add_to_channel(stage.bot, channel)
    stage.server.add_to_channel(stage.dana, channel)
    return channel
