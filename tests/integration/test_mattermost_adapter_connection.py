"""The connection's bad days: cut, frozen, restarted, refused, too fast for its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import AuthorKind, ConnectionState, Cursor, EventKind
from adapters.errors import CredentialRefused, Unreachable
from adapters.mattermost import MattermostAdapter, MattermostSettings
from fleetprompt.sandbox.mattermost import HubLimits, SandboxMattermost
from tests.adapter_stages import QUICK, MattermostStage
from tests.listening import States, listening


@pytest.fixture
async def stage() -> AsyncIterator[MattermostStage]:
    limits = HubLimits(sent_frames=50, waiting_frames=100)
    async with SandboxMattermost(limits=limits) as server:
        yield MattermostStage(server, server)


async def test_a_cut_connection_is_resumed_without_a_catch_up(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.server.drop_connections()
        stage.says("@fleet meanwhile")
        await ear.hears("@fleet meanwhile")
        stage.says("@fleet after")
        await ear.hears("@fleet after")
    assert observer.states.count(ConnectionState.CATCHING_UP) == 1
    assert observer.states.count(ConnectionState.CONNECTED) == 2
    assert not next(event for event in ear.heard if event.text == "@fleet meanwhile").caught_up
    await adapter.close()


async def test_when_the_server_cannot_resume_it_is_caught_up(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.server.drop_connections()
        said = [stage.server.post(stage.dana, stage.support, f"m{number}").message for number in range(300)]
        await ear.hears(*said)
    assert [text for text in ear.texts if text in set(said)] == said
    assert observer.states.count(ConnectionState.CATCHING_UP) == 2
    await adapter.close()


async def test_a_restarted_server_is_caught_up_with(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        restart = asyncio.create_task(stage.server.restart(down_s=0.3))
        await observer.reach(ConnectionState.DISCONNECTED)
        stage.says("@fleet while it restarts")
        await restart
        await ear.hears("@fleet while it restarts")
        stage.says("@fleet afterwards")
        await ear.hears("@fleet afterwards")
    assert len(ear.keys) == len(set(ear.keys))
    await adapter.close()


async def test_a_frozen_connection_is_noticed_by_our_own_pings(stage: MattermostStage) -> None:
    stage.pace = replace(QUICK, ping_interval_s=0.2, pong_timeout_s=0.3, read_timeout_s=0.5)
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.server.freeze(2)
        stage.says("@fleet into the ice")
        await observer.reach(ConnectionState.DISCONNECTED)
        await ear.hears("@fleet into the ice")
    assert len(ear.keys) == len(set(ear.keys))
    await adapter.close()


async def test_a_slow_reader_loses_nothing(stage: MattermostStage) -> None:
    stage.pace = replace(QUICK, buffered_frames=5)
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter, pause_s=0.01) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        said = [stage.server.post(stage.dana, stage.support, f"m{number}").message for number in range(120)]
        await ear.hears(*said)
    assert any("faster" in str(error) for error in observer.errors)
    assert [text for text in ear.texts if text in set(said)] == said
    await adapter.close()


async def test_messages_during_a_catch_up_come_after_it_and_once(stage: MattermostStage) -> None:
    for number in range(20):
        stage.says(f"missed {number}")
    adapter = stage.adapter()
    async with listening(adapter, pause_s=0.01) as ear:
        await ear.hears("missed 0")
        for number in range(20):
            stage.says(f"during {number}")
        await ear.hears("during 19")
    expected = [f"missed {number}" for number in range(20)] + [f"during {number}" for number in range(20)]
    assert ear.texts == expected
    await adapter.close()


async def test_a_refused_websocket_is_tried_again(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    stage.server.refuse_websockets(3)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.says("@fleet at last")
        await ear.hears("@fleet at last")
    assert len(observer.errors) == 3
    await adapter.close()


async def test_a_revoked_token_ends_listening_with_advice(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.server.revoke(stage.bot)
        await ear.until(lambda: ear.is_over)
    assert isinstance(ear.error, CredentialRefused)
    assert "token" in ear.error.advice
    await adapter.close()


async def test_listening_waits_for_a_server_that_is_not_up_yet(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    stage.says("@fleet hello")
    await stage.server.http.stop()
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.DISCONNECTED, times=2)
        assert all(isinstance(error, Unreachable) for error in observer.errors)
        await stage.server.http.start()
        await ear.hears("@fleet hello")
    await adapter.close()


async def test_being_removed_and_added_is_told(stage: MattermostStage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as ear:
        await observer.reach(ConnectionState.CONNECTED)
        stage.server.remove_from_channel(stage.bot, stage.support, remover=stage.dana)
        await ear.until(lambda: any(event.kind is EventKind.REMOVED for event in ear.heard))
        stage.server.add_to_channel(stage.bot, stage.support, adder=stage.dana)
        await ear.until(lambda: any(event.kind is EventKind.ADDED for event in ear.heard))
    told = [event for event in ear.heard if event.kind in (EventKind.REMOVED, EventKind.ADDED)]
    assert {event.place.channel_id for event in told} == {stage.support.id}
    assert len({event.event_key for event in told}) == len(told)
    await adapter.close()


async def test_authors_are_told_apart_by_their_accounts(stage: MattermostStage) -> None:
    other_bot = stage.server.create_user("helper", is_bot=True)
    stage.server.add_to_channel(other_bot, stage.support)
    stage.server.post(other_bot, stage.support, "@fleet from a bot")
    stage.server.post(
        stage.dana, stage.support, "@fleet forged", props={"from_bot": "true", "override_username": "x"}
    )
    stage.server.post(stage.dana, stage.support, "@fleet hook", props={"from_webhook": "true"})
    stage.says("@fleet from dana")
    adapter = stage.adapter()
    async with listening(adapter) as ear:
        await ear.hears("@fleet from dana")
    kinds = {event.text: event.author.kind for event in ear.heard if event.text.startswith("@fleet")}
    assert kinds == {
        "@fleet from a bot": AuthorKind.BOT,
        "@fleet forged": AuthorKind.PERSON,
        "@fleet hook": AuthorKind.WEBHOOK,
        "@fleet from dana": AuthorKind.PERSON,
    }
    await adapter.close()


async def test_hostile_posts_are_read_live_and_by_catch_up(stage: MattermostStage) -> None:
    deep: object = "end"
    for _ in range(300):
        deep = {"a": deep}
    texts = ["@fleet bidi \u202eevil", "@fleet " + "é" * 16376, "@fleet \U0001f600"]
    observer = States()
    adapter = stage.adapter(observer)
    async with listening(adapter) as live:
        await observer.reach(ConnectionState.CONNECTED)
        for text in texts:
            stage.server.post(stage.dana, stage.support, text, props={"x": deep})
        await live.hears(*texts)
    async with listening(adapter) as later:
        await later.hears(*texts)
    assert [event.addressed for event in later.heard if event.text in texts] == [True] * 3
    await adapter.close()


async def test_closing_leaves_no_task_behind(stage: MattermostStage) -> None:
    before = len(asyncio.all_tasks())
    adapter = MattermostAdapter(MattermostSettings(stage.server.url, stage.bot.token, pace=QUICK))
    stream = adapter.listen(Cursor(""))
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.2)
    await adapter.close()
    with pytest.raises(StopAsyncIteration):
        await reading
    await asyncio.sleep(0.1)
    ours = [task for task in asyncio.all_tasks() if "mattermost-socket" in task.get_name()]
    assert ours == []
    assert len(asyncio.all_tasks()) <= before + 1
