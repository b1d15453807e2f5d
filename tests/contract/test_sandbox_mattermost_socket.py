"""The sandbox's websocket: who gets in, what a resume brings back, who is cut off."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fleetprompt.sandbox.mattermost import HubLimits
from tests.mattermost_sandbox import frame, hello, messages, scene, websocket


async def test_a_bad_token_closes_the_socket_without_a_frame() -> None:
    async with scene() as stage, websocket(stage.server, "nobody's") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is None


async def test_a_bad_challenge_closes_the_socket_without_a_frame() -> None:
    async with scene() as stage, websocket(stage.server) as socket:
        challenge = {"seq": 1, "action": "authentication_challenge", "data": {"token": "nobody's"}}
        await socket.send(json.dumps(challenge))
        with pytest.raises(ConnectionClosed):
            await frame(socket)


async def test_a_socket_that_sends_no_challenge_is_cut_off() -> None:
    async with scene(HubLimits(auth_timeout_s=0.05)) as stage, websocket(stage.server) as socket:
        with pytest.raises(ConnectionClosed):
            await frame(socket)


async def test_a_resumed_socket_gets_what_it_missed_and_no_hello() -> None:
    async with scene() as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.says("seen")
            assert await messages(socket, 1) == ["seen"]
            stage.server.drop_connections()
            await socket.wait_closed()
        missed = [f"missed {number}" for number in range(200)]
        stage.says(*missed)
        query = f"?connection_id={connection_id}&sequence_number=3"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            assert (await frame(socket))["seq"] == 3
            assert await messages(socket, 199) == missed[1:]


async def test_a_resume_repeats_frames_that_were_written_but_not_read() -> None:
    async with scene() as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.says("one", "two")
            assert await messages(socket, 2) == ["one", "two"]
            stage.server.drop_connections()
            await socket.wait_closed()
        query = f"?connection_id={connection_id}&sequence_number=3"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            assert await messages(socket, 1) == ["two"]


async def test_a_gap_beyond_the_buffer_gets_a_fresh_hello_and_nothing_replayed() -> None:
    async with scene() as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.server.drop_connections()
            await socket.wait_closed()
        stage.says(*(f"lost {number}" for number in range(300)))
        query = f"?connection_id={connection_id}&sequence_number=2"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            assert await hello(socket) != connection_id
            stage.says("next")
            assert await messages(socket, 1) == ["next"]


async def test_an_unknown_connection_gets_a_fresh_hello() -> None:
    async with scene() as stage:
        query = "?connection_id=ybndrfg8ejkmcpqxot1uwisza3&sequence_number=7"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            await hello(socket)


async def test_a_known_connection_without_a_number_is_closed() -> None:
    async with scene() as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.server.drop_connections()
            await socket.wait_closed()
        async with websocket(stage.server, stage.fleet.token, f"?connection_id={connection_id}") as socket:
            with pytest.raises(ConnectionClosed):
                await frame(socket)


async def test_an_idle_connection_is_forgotten() -> None:
    async with scene(HubLimits(resume_window_s=0.01)) as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.server.drop_connections()
            await socket.wait_closed()
        await asyncio.sleep(0.05)
        query = f"?connection_id={connection_id}&sequence_number=2"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            assert await hello(socket) != connection_id


async def test_a_restart_forgets_connections_and_keeps_posts() -> None:
    async with scene() as stage:
        async with websocket(stage.server, stage.fleet.token) as socket:
            connection_id = await hello(socket)
            stage.says("kept")
            await stage.server.restart()
            with pytest.raises(ConnectionClosed):
                await messages(socket, 2)
        query = f"?connection_id={connection_id}&sequence_number=2"
        async with websocket(stage.server, stage.fleet.token, query) as socket:
            assert await hello(socket) != connection_id
        assert stage.server.posts(stage.support)[-1].message == "kept"


async def test_a_slow_reader_is_cut_off_without_a_gap() -> None:
    limits = HubLimits(waiting_frames=16)
    async with scene(limits) as stage, websocket(stage.server, stage.fleet.token, max_queue=1) as socket:
        await hello(socket)
        for number in range(1500):  # more than the buffers of both kernels hold
            stage.says(f"{number} " + "x" * 8000)
            await asyncio.sleep(0)
        seen = [json.loads(text)["seq"] async for text in socket]
    assert socket.close_code == 1005
    assert seen == list(range(2, 2 + len(seen)))
    assert len(seen) < 1500


async def test_the_server_pings_and_cuts_a_peer_that_does_not_answer() -> None:
    limits = HubLimits(ping_interval_s=0.02, pong_timeout_s=0.03)
    async with scene(limits) as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        await asyncio.sleep(0.2)
        stage.says("still here")
        assert await messages(socket, 1) == ["still here"]
        socket.transport.pause_reading()  # no pong from now on
        await asyncio.sleep(0.2)
        assert not stage.server.site.hub.sessions[stage.fleet.id].popitem()[1].socket
        socket.transport.resume_reading()


async def test_a_revoked_token_closes_the_socket_and_answers_401() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.revoke(stage.fleet)
        with pytest.raises(ConnectionClosed):
            await frame(socket)
        answer = await stage.api.get("/users/me")
        assert (answer.status_code, answer.json()["id"]) == (401, "api.context.session_expired.app_error")


async def test_a_frozen_server_answers_neither_requests_nor_pings() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.freeze(0.4)
        pong = asyncio.ensure_future(await socket.ping())
        stage.says("while frozen")
        request = asyncio.create_task(stage.api.get("/users/me"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.1)
        assert not pong.done()
        assert not request.done()
        assert (await request).status_code == 200
        await asyncio.wait_for(pong, 1)
        assert await messages(socket, 1) == ["while frozen"]


async def test_an_upgrade_can_be_refused() -> None:
    async with scene() as stage:
        stage.server.refuse_websockets(1)
        with pytest.raises(InvalidStatus) as refused:
            async with websocket(stage.server, stage.fleet.token):
                pass
        assert refused.value.response.status_code == 503


async def test_typing_is_shown_to_the_others_only() -> None:
    async with scene() as stage:
        own, other = (websocket(stage.server, user.token) for user in (stage.fleet, stage.dana))
        async with own as fleet, other as dana:
            await hello(fleet)
            await hello(dana)
            answer = await stage.api.post("/users/me/typing", json={"channel_id": stage.support.id})
            assert answer.json() == {"status": "OK"}
            typing = await frame(dana)
            assert (typing["event"], typing["data"]["user_id"]) == ("typing", stage.fleet.id)
            assert typing["broadcast"]["omit_users"] == {stage.fleet.id: True}
            stage.says("seen first by fleet")
            assert (await frame(fleet))["event"] == "posted"


async def test_a_client_may_act_on_its_socket() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        await socket.send(json.dumps({"action": "ping", "seq": 1}))
        assert (await frame(socket))["seq_reply"] == 1
        typing = {"channel_id": stage.support.id, "parent_id": ""}
        await socket.send(json.dumps({"action": "user_typing", "seq": 2, "data": typing}))
        assert await frame(socket) == {"status": "OK", "seq_reply": 2}
        await socket.send(json.dumps({"action": "dance", "seq": 3}))
        assert (await frame(socket))["status"] == "FAIL"
        await socket.send("not json")
        stage.says("and it goes on")
        assert await messages(socket, 1) == ["and it goes on"]
