"""The listener on a sandbox Mattermost: nothing lost, nothing twice, faults stay where they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.connectors.supervisor import Listener
from fleetprompt.model import Installation
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.connected import Stage, connected_house, listening, until, working
from tests.house import ACME, GLOBEX


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


async def heard(stage: Stage) -> list[str]:
    rows = await stage.base.tenant_rows(
        ACME,
        "select payload->>'text' as text from signals where name = 'chat.message.received'"
        " and actor_kind = 'human' order by (payload->>'sent_at_ms')::bigint, id",
    )
    return [row["text"] for row in rows]


async def health(stage: Stage) -> Any:
    rows = await stage.base.tenant_rows(ACME, "select * from installation_health")
    return rows[0]


async def in_state(stage: Stage, state: str) -> Any:
    async def reached() -> Any:
        row = await health(stage)
        return row if row["state"] == state else None

    return await until(reached)


async def count_heard(stage: Stage, count: int) -> list[str]:
    async def enough() -> list[str] | None:
        texts = await heard(stage)
        return texts if len(texts) >= count else None

    found: list[str] = await until(enough)
    return found


async def test_a_post_becomes_a_signal_and_health_says_connected(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage):
        row = await in_state(stage, "connected")
        stage.server.post(stage.dana, stage.support, "@fleet hello")
        assert await count_heard(stage, 1) == ["@fleet hello"]
    told = await stage.base.tenant_rows(ACME, "select name from signals where name like 'integration.%'")
    assert [t["name"] for t in told] == ["integration.connected"]
    after = await health(stage)
    assert (after["state"], row["last_error"]) == ("disconnected", None)
    assert after["last_event_at"] is not None
    assert await stage.base.tenant_rows(GLOBEX, "select 1 from signals") == []


async def test_what_was_posted_while_nobody_listened_is_caught_up_once_and_in_order(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage):
        stage.server.post(stage.dana, stage.support, "@fleet 0")
        await count_heard(stage, 1)
    for number in range(1, 31):
        stage.server.post(stage.dana, stage.support, f"@fleet {number}")
    async with listening(stage):
        texts = await count_heard(stage, 31)
        stage.server.drop_connections()
        stage.server.post(stage.dana, stage.support, "@fleet 31")
        await count_heard(stage, 32)
    assert texts == [f"@fleet {number}" for number in range(31)]
    assert len(await heard(stage)) == 32


async def test_older_mentions_are_history(stage: Stage) -> None:
    stage.server.post(stage.dana, stage.support, "@fleet before the install")
    await asyncio.sleep(0.01)
    await stage.adopt()
    stage.server.post(stage.dana, stage.support, "@fleet after it")
    async with listening(stage):
        assert await count_heard(stage, 1) == ["@fleet after it"]


async def test_a_second_listener_takes_over_when_the_first_dies_and_not_before(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage) as first:
        await in_state(stage, "connected")
        second = Listener(stage.house, stage.connectors.bindings)
        stop = asyncio.Event()
        serving = asyncio.create_task(second.serve(stop))
        try:
            await asyncio.sleep(1.5)
            assert (len(first.lines), len(second.lines)) == (1, 0)
            await stage.base.rows("update public.connections set holder = 'a listener that died'")
            began = time.monotonic()

            async def one_holds() -> bool:
                return len(first.lines) + len(second.lines) == 1 and (
                    await stage.base.value("select holder from public.connections") in (first.id, second.id)
                )

            await until(one_holds)
            assert time.monotonic() - began < 10
        finally:
            stop.set()
            await serving
        await until(lambda: stage.base.rows("select 1 from public.connections where holder = $1", first.id))


async def test_stopping_is_quick_and_hands_the_connection_back(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage):
        await in_state(stage, "connected")
        stage.server.freeze(30)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    stage.server.thaw()
    assert await stage.base.value("select holder from public.connections") is None


async def test_a_revoked_token_is_an_error_with_a_remedy_and_a_new_generation_mends_it(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage):
        await in_state(stage, "connected")
        stage.server.revoke(stage.bot)
        row = await in_state(stage, "error")
        assert row["last_error_code"] == "credential_refused"
        assert "token" in row["remedy"]
        stage.server.user(stage.bot).revoked = False
        await stage.base.tenant_rows(ACME, "update installations set generation = generation + 1")
        await stage.base.rows("update public.connections set generation = generation + 1")
        await in_state(stage, "connected")
    told = await stage.base.tenant_rows(
        ACME, "select name from signals where name like 'integration.%' order by id"
    )
    assert "integration.error" in [t["name"] for t in told]


async def test_a_disabled_connection_is_closed_and_let_go(stage: Stage, installation: Installation) -> None:
    async with listening(stage) as listener:
        await in_state(stage, "connected")
        await stage.base.rows("update public.connections set enabled = false")
        await in_state(stage, "disconnected")
        assert listener.lines == {}
        stage.server.post(stage.dana, stage.support, "@fleet are you there?")
        await asyncio.sleep(0.3)
        assert await heard(stage) == []


async def test_another_accounts_token_is_refused(stage: Stage, installation: Installation) -> None:
    await stage.base.rows("update public.connections set account_key = 'somebody else'")
    async with listening(stage):
        row = await in_state(stage, "error")
        assert "another account" in row["last_error"]


async def test_one_broken_server_disturbs_no_other(stage: Stage, installation: Installation) -> None:
    async with SandboxMattermost() as other:
        team = other.create_team("engineering")
        bot, erin = other.create_user("fleet", is_bot=True), other.create_user("erin")
        channel = other.create_channel(team, "support")
        for user in (bot, erin):
            other.add_to_channel(user, channel)
        await stage.adopt(GLOBEX, bot=bot, server_url=other.url)
        async with listening(stage):
            await in_state(stage, "connected")
            await other.stop()
            stage.server.post(stage.dana, stage.support, "@fleet still there?")
            assert await count_heard(stage, 1) == ["@fleet still there?"]
            globex = await stage.base.tenant_rows(GLOBEX, "select name from signals order by id")
            assert {row["name"] for row in globex} <= {"integration.connected", "integration.disconnected"}


async def test_edits_deletions_and_reactions_are_facts_and_wake_nobody(
    stage: Stage, installation: Installation
) -> None:
    async with listening(stage), working(stage.house):
        await in_state(stage, "connected")
        post = stage.server.post(stage.dana, stage.support, "hello everyone")
        stage.server.edit(post, "hello @fleet")
        stage.server.react(stage.dana, post)
        stage.server.delete(post)
        gone = "select 1 from signals where name = 'chat.message.deleted'"
        await until(lambda: stage.base.tenant_rows(ACME, gone))
        names = await stage.base.tenant_rows(
            ACME, "select name from signals where name like 'chat.%' order by id"
        )
        assert [row["name"] for row in names] == [
            "chat.message.received",
            "chat.message.edited",
            "chat.message.deleted",
        ]
        assert await stage.base.tenant_rows(ACME, "select 1 from executions") == []
        assert stage.bot_posts() == []


async def test_nothing_is_lost_while_postgres_cuts_every_connection(
    stage: Stage, installation: Installation
) -> None:
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    async with listening(stage):
        await in_state(stage, "connected")
        for number in range(20):
            stage.server.post(stage.dana, stage.support, f"@fleet {number}")
            if number % 5 == 0:
                await stage.base.rows(cut)
            await asyncio.sleep(0.02)
        texts = await count_heard(stage, 20)
    assert texts == [f"@fleet {number}" for number in range(20)]
