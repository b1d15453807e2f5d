"""What the sandbox breaks on command, what a restart keeps, and its control by another process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from fleetprompt.sandbox.mattermost import SandboxControl, SandboxMattermost
from tests.mattermost_sandbox import frame, hello, messages, scene, websocket


async def test_a_429_is_plain_text_with_its_headers_and_ends_by_itself() -> None:
    async with scene() as stage:
        stage.server.answer_429(2, retry_after_s=3)
        answers = [await stage.post("again") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 201]
        limited = answers[0]
        assert limited.headers["content-type"].startswith("text/plain")
        assert (limited.headers["retry-after"], limited.headers["x-ratelimit-reset"]) == ("3", "3")
        assert limited.headers["x-ratelimit-remaining"] == "0"
        assert len(stage.server.ledger) == 1


async def test_a_post_is_committed_and_its_answer_dropped() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.commit_then_drop(1)
        with pytest.raises(httpx2.RemoteProtocolError):
            await stage.post("committed", pending_post_id="fleet:1", props={"fleetprompt_directive": "d"})
        assert await messages(socket, 1) == ["committed"]
        repeated = await stage.post("committed", pending_post_id="fleet:1")
        assert [entry.post_id for entry in stage.server.ledger] == [repeated.json()["id"]]
        assert stage.server.ledger[0].props == {"fleetprompt_directive": "d"}


async def test_a_dropped_request_commits_nothing() -> None:
    async with scene() as stage:
        stage.server.drop_requests(1, only="POST /api/v4/posts")
        assert (await stage.api.get("/users/me")).status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            await stage.post("lost")
        assert not stage.server.ledger


async def test_a_failed_request_commits_nothing() -> None:
    async with scene() as stage:
        stage.server.fail_5xx(1, 503)
        assert (await stage.post("lost")).status_code == 503
        stage.server.fail_5xx(5)
        stage.server.clear_faults()
        assert (await stage.post("kept")).status_code == 201
        assert [entry.message for entry in stage.server.ledger] == ["kept"]


async def test_dropped_connections_leave_requests_alone() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.drop_connections()
        await socket.wait_closed()
        assert socket.close_code == 1006
        assert (await stage.post("still there")).status_code == 201


async def test_a_posts_frame_is_overtaken_by_the_next() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.swap_frames(2)
        stage.says("one", "two", "three")
        assert await messages(socket, 3) == ["two", "one", "three"]


async def test_a_request_sent_to_a_frozen_server_is_carried_out_after_its_sender_gave_up() -> None:
    async with scene() as stage:
        await stage.api.get("/users/me")  # a pooled connection, as a client in service has one
        stage.server.freeze(0.2)
        with pytest.raises(httpx2.ReadTimeout):
            await stage.api.post(
                "/posts", json={"channel_id": stage.support.id, "message": "late"}, timeout=0.05
            )
        assert not stage.server.ledger
        await asyncio.sleep(0.3)
        assert [entry.message for entry in stage.server.ledger] == ["late"]


async def test_a_restart_keeps_the_address_the_tokens_and_the_ledger() -> None:
    async with scene() as stage:
        url = stage.server.url
        await stage.post("before")
        stage.server.fail_5xx(9)
        await stage.server.restart()
        assert stage.server.url == url
        assert (await stage.post("after")).status_code == 201
        assert [(entry.arrival, entry.message) for entry in stage.server.ledger] == [
            (1, "before"),
            (2, "after"),
        ]


async def test_a_restart_takes_its_time() -> None:
    async with scene() as stage:
        restart = asyncio.create_task(stage.server.restart(down_s=0.2))
        await asyncio.sleep(0.05)
        with pytest.raises(httpx2.TransportError):
            await stage.api.get("/users/me")
        await restart
        assert (await stage.api.get("/users/me")).status_code == 200


async def test_a_state_file_keeps_everything_but_its_torn_last_line(tmp_path: Path) -> None:
    state = tmp_path / "mattermost.jsonl"
    async with SandboxMattermost(state_path=state) as server:
        fleet, dana = server.create_user("fleet", is_bot=True), server.create_user("dana")
        support = server.create_channel(server.create_team("acme"), "support")
        for user in (fleet, dana):
            server.add_to_channel(user, support)
        root = server.post(dana, support, "root \ud800")
        server.post(fleet, support, "reply", root_id=root.id, props={"key": "k"}, pending_post_id="fleet:1")
        server.edit(root, "edited")
        before = (server.posts(support), list(server.ledger))
    state.write_text(state.read_text() + '{"kind": "post", "rec')
    async with SandboxMattermost(state_path=state) as server:
        assert (server.posts(support.id), list(server.ledger)) == before
        assert server.create_user("fleet").token == fleet.token
        assert server.post(fleet, "support", "third").create_at >= root.create_at
    async with SandboxMattermost(state_path=state) as server:
        assert [entry.message for entry in server.ledger] == ["root \ud800", "reply", "third"]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A sandbox of its own; yields it with its address."""
    command = [sys.executable, "-m", "fleetprompt.sandbox.mattermost", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield running, json.loads(running.stdout.readline())["url"]
        finally:
            running.kill()


async def test_another_process_controls_a_sandbox_that_survives_kill_9(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--state", str(tmp_path / "state.jsonl"))
    with process(*arguments) as (running, url):
        async with SandboxControl(url) as control:
            fleet = await control.create_user("fleet", is_bot=True)
            dana = await control.create_user("dana")
            support = await control.create_channel(await control.create_team("acme"), "support")
            for user in (fleet, dana):
                await control.add_to_channel(user, support)
            root = await control.post(dana, support, "@fleet help")
            await control.post("fleet", "support", "yes", root_id=root.id)
        running.send_signal(signal.SIGKILL)
        running.wait(5)
    with process(*arguments) as (_, url):
        async with SandboxControl(url) as control:
            assert [post.message for post in await control.posts(support)][-2:] == ["@fleet help", "yes"]
            assert [entry.arrival for entry in await control.ledger(after=1)] == [2]
            assert (await control.create_user("fleet")).token == fleet.token


async def test_a_process_starts_fast_and_stops_on_sigterm() -> None:
    began = time.monotonic()
    with process() as (running, _):
        assert time.monotonic() - began < 3  # 0.2 s on an idle machine
        running.terminate()
        assert running.wait(5) == 0


async def test_every_fault_is_commanded_over_http() -> None:
    async with scene() as stage, SandboxControl(stage.server.url) as control:
        await control.fail_5xx(1)
        await control.answer_429(1)
        await control.drop_requests(1)
        await control.commit_then_drop(1)
        assert [(await stage.post("x")).status_code for _ in range(2)] == [502, 429]
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError):
                await stage.post("x")
        await control.delay_posts(1, 0.01)
        assert (await stage.post("x")).status_code == 201
        assert len(await control.ledger()) == 2
        await control.refuse_websockets(1)
        await control.clear_faults()
        async with websocket(stage.server, stage.fleet.token) as socket:
            assert (await frame(socket))["event"] == "hello"  # online already, by its posts
            await control.drop_connections()
            await socket.wait_closed()
        await control.restart()
        await control.revoke(stage.fleet)
        assert (await stage.api.get("/users/me")).status_code == 401


async def test_a_frozen_server_still_takes_commands() -> None:
    async with scene() as stage, SandboxControl(stage.server.url) as control:
        await control.freeze(60)
        request = asyncio.create_task(stage.api.get("/users/me"))
        await asyncio.sleep(0.05)
        assert not request.done()
        await control.fault("thaw")
        assert (await request).status_code == 200


async def test_people_act_over_the_control_api() -> None:
    async with scene() as stage, SandboxControl(stage.server.url) as control:
        async with websocket(stage.server, stage.fleet.token) as socket:
            await hello(socket)
            direct = await control.direct_channel(stage.dana, stage.fleet)
            post = await control.post("dana", direct, "hi")
            await control.edit(post, "hello")
            await control.react("fleet", post)
            await control.delete(post)
            await control.remove_from_channel("fleet", "support", remover="dana")
            events = [(await frame(socket))["event"] for _ in range(6)]
        kinds = ["direct_added", "posted", "post_edited", "reaction_added", "post_deleted", "user_removed"]
        assert events == kinds
        hook = await control.create_hook("dana", "support")
        called = await stage.api.post(f"{stage.server.url}/hooks/{hook.id}", json={"text": "from a hook"})
        assert called.text == "ok"
        assert (await control.posts("support"))[-1].props["from_webhook"] == "true"
        await control.archive_channel("support")


async def test_commands_that_do_not_fit_are_refused() -> None:
    async with scene() as stage:
        async with SandboxControl(stage.server.url) as control:
            with pytest.raises(httpx2.HTTPStatusError) as unknown:
                await control.post("nobody", "support", "x")
            with pytest.raises(httpx2.HTTPStatusError) as misnamed:
                await control.fault("fail_5xx", often=1)
            with pytest.raises(httpx2.HTTPStatusError) as missing:
                await control.fault("stop")
        found = [error.value.response.status_code for error in (unknown, misnamed, missing)]
        assert found == [404, 400, 404]
