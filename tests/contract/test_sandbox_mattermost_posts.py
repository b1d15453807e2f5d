"""The sandbox's posts over REST: what is refused, what is deduplicated, and the oddities of its lists."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import pytest

from fleetprompt.sandbox.mattermost import ApiError
from tests.mattermost_sandbox import Scene, frame, hello, scene, websocket


def refused(answer: httpx2.Response, status: int, error_id: str) -> bool:
    return (answer.status_code, answer.json()["id"], answer.json()["status_code"]) == (
        status,
        error_id,
        status,
    )


async def since(stage: Scene, since_ms: int) -> dict[str, Any]:
    answer = await stage.api.get(f"/channels/{stage.support.id}/posts", params={"since": since_ms})
    found: dict[str, Any] = answer.json()
    return found


def pause() -> None:
    """Into the next millisecond."""
    time.sleep(0.002)


async def test_the_posted_frame_comes_before_the_answer() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.server.delay_posts(1, 0.05)
        request = asyncio.create_task(stage.post("mine"))
        event = await frame(socket)
        assert event["event"] == "posted"
        assert (await request).json()["id"] in event["data"]["post"]


async def test_a_repeated_pending_post_id_returns_the_first_post() -> None:
    async with scene() as stage:
        first = await stage.post("once", pending_post_id="fleet:1")
        second = await stage.post("twice", pending_post_id="fleet:1")
        assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])
        assert [entry.message for entry in stage.server.ledger] == ["once"]
        assert stage.server.ledger[0].pending_post_id == "fleet:1"


async def test_a_pending_post_id_is_forgotten_after_its_time() -> None:
    async with scene() as stage:
        stage.server.site.pending.ttl_s = 0.02
        await stage.post("once", pending_post_id="fleet:1")
        await asyncio.sleep(0.03)
        await stage.post("once", pending_post_id="fleet:1")
        assert len(stage.server.ledger) == 2


async def test_a_pending_post_id_is_forgotten_by_a_restart() -> None:
    async with scene() as stage:
        await stage.post("once", pending_post_id="fleet:1")
        await stage.server.restart()
        await stage.post("once", pending_post_id="fleet:1")
        assert len(stage.server.ledger) == 2


async def test_a_post_in_flight_is_a_500_to_its_repeat() -> None:
    async with scene() as stage:
        stage.server.delay_posts(1, 0.1)
        first = asyncio.create_task(stage.post("slow", pending_post_id="fleet:1"))
        await asyncio.sleep(0.03)
        second = await stage.post("slow", pending_post_id="fleet:1")
        assert refused(second, 500, "api.post.deduplicate_create_post.pending")
        assert (await first).status_code == 201
        third = await stage.post("slow", pending_post_id="fleet:1")
        assert third.json()["id"] == first.result().json()["id"]
        assert len(stage.server.ledger) == 1


async def test_a_refused_post_leaves_no_trace_of_its_pending_post_id() -> None:
    async with scene() as stage:
        refusal = await stage.post("x" * 16384, pending_post_id="fleet:1")
        assert refused(refusal, 400, "model.post.is_valid.msg.app_error")
        assert (await stage.post("short", pending_post_id="fleet:1")).json()["message"] == "short"


async def test_a_root_must_be_a_root_of_the_same_channel() -> None:
    async with scene() as stage:
        elsewhere = stage.server.post(stage.dana, "town-square", "elsewhere")
        gone = stage.server.post(stage.dana, stage.support, "gone")
        stage.server.delete(gone)
        foreign, missing, deleted = [
            await stage.post("reply", root_id=root) for root in (elsewhere.id, "y" * 26, gone.id)
        ]
        assert refused(foreign, 400, "api.post.create_post.channel_root_id.app_error")
        assert refused(missing, 400, "api.post.create_post.root_id.app_error")
        assert refused(deleted, 400, "api.post.create_post.root_id.app_error")


async def test_who_is_no_member_may_not_post() -> None:
    async with scene() as stage:
        stage.server.remove_from_channel(stage.fleet, stage.support, remover=stage.dana)
        assert refused(await stage.post("let me in"), 403, "api.context.permissions.app_error")
        with pytest.raises(ApiError):
            stage.server.post(stage.fleet, stage.support, "let me in")


async def test_an_archived_channel_takes_no_posts() -> None:
    async with scene() as stage:
        stage.server.archive_channel(stage.support)
        answer = await stage.post("late")
        assert refused(answer, 400, "api.post.create_post.can_not_post_to_deleted.error")
        channels = (await stage.api.get(f"/users/me/teams/{stage.team.id}/channels")).json()
        assert stage.support.id not in {channel["id"] for channel in channels}


async def test_malformed_posts_are_refused() -> None:
    async with scene() as stage:
        for body in (b"{", b"[]", b'{"message": 7}', b'{"props": "p"}'):
            answer = await stage.api.post("/posts", content=body)
            assert refused(answer, 400, "api.context.invalid_body_param.app_error"), body
        nul = await stage.post("a\0b")
        assert refused(nul, 500, "app.post.save.app_error")
        body = b'{"channel_id": "%s", "message": "a\\ud800b"}' % stage.support.id.encode()
        assert (await stage.api.post("/posts", content=body)).json()["message"] == "a\ufffdb"


async def test_props_have_a_limit() -> None:
    async with scene() as stage:
        answer = await stage.post("big", props={"fleetprompt_directive": "x" * 8000})
        assert refused(answer, 400, "model.post.is_valid.props.app_error")


async def test_a_patch_of_props_replaces_them_all() -> None:
    async with scene() as stage:
        post = (await stage.post("mine", props={"one": 1})).json()
        patched = await stage.api.put(f"/posts/{post['id']}/patch", json={"props": {"two": 2}})
        assert patched.json()["props"] == {"two": 2}
        assert patched.json()["message"] == "mine"


async def test_only_the_author_edits_and_deletes() -> None:
    async with scene() as stage:
        post = stage.server.post(stage.dana, stage.support, "hers")
        patched = await stage.api.put(f"/posts/{post.id}/patch", json={"message": "mine"})
        assert refused(patched, 403, "api.context.permissions.app_error")
        deleted = await stage.api.delete(f"/posts/{post.id}")
        assert refused(deleted, 403, "api.context.permissions.app_error")


async def test_since_returns_deleted_posts_copies_of_edits_and_bumped_roots() -> None:
    async with scene() as stage:
        stage.says("deleted", "edited", "answered", "liked", "old")
        deleted, edited, answered, liked, _ = stage.server.posts(stage.support)[-5:]
        pause()
        now = stage.server.site.world.now_ms()
        pause()
        stage.server.delete(deleted)
        stage.server.edit(edited, "edited, now @fleet")
        reply = stage.server.post(stage.dana, stage.support, "reply", root_id=answered.id)
        stage.server.react(stage.dana, liked)
        found = await since(stage, now)
        copies = [post for post in found["posts"].values() if post["original_id"]]
        assert set(found["order"]) == {
            deleted.id,
            edited.id,
            answered.id,
            reply.id,
            liked.id,
            copies[0]["id"],
        }
        assert [copy["original_id"] for copy in copies] == [edited.id]
        assert found["posts"][deleted.id]["message"] == ""
        assert found["posts"][deleted.id]["delete_at"] > 0


async def test_since_names_roots_that_are_not_in_its_order() -> None:
    async with scene() as stage:
        root = stage.server.post(stage.dana, stage.support, "root")
        reply = stage.server.post(stage.dana, stage.support, "reply", root_id=root.id)
        pause()
        now = stage.server.site.world.now_ms()
        pause()
        stage.server.site.world.posts[reply.id].update_at = now + 1  # the root's own bump is older
        found = await since(stage, now)
        assert found["order"] == [reply.id]
        assert set(found["posts"]) == {reply.id, root.id}


async def test_since_is_capped_without_an_order_of_what_is_kept() -> None:
    async with scene() as stage:
        stage.says(*(f"{number}" for number in range(1100)))
        found = await since(stage, 1)
        assert len(found["order"]) == 1000
        kept = {int(post["message"]) for post in found["posts"].values() if post["message"].isdigit()}
        assert max(kept) - min(kept) > 1000  # neither the first nor the last thousand


async def test_pages_go_strictly_by_creation_and_skip_what_is_deleted() -> None:
    async with scene() as stage:
        for number in range(6):
            pause()
            stage.says(f"{number}")
        posts = stage.server.posts(stage.support)[-6:]
        posts[3].create_at = posts[2].create_at  # siblings in one millisecond
        stage.server.delete(posts[4])
        path = f"/channels/{stage.support.id}/posts"
        after = (await stage.api.get(path, params={"after": posts[2].id})).json()
        assert after["order"] == [posts[5].id]
        before = (await stage.api.get(path, params={"before": posts[3].id, "per_page": 1})).json()
        assert before["order"] == [posts[1].id]
        assert (before["prev_post_id"], before["next_post_id"]) == (posts[0].id, posts[2].id)
        latest = (await stage.api.get(path, params={"per_page": 2, "page": 1})).json()
        assert latest["order"] == [posts[2].id, posts[1].id]


async def test_deleting_a_root_is_one_event_for_the_thread() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        root = stage.server.post(stage.dana, stage.support, "root")
        reply = stage.server.post(stage.dana, stage.support, "reply", root_id=root.id)
        await hello(socket)
        for _ in range(2):
            assert (await frame(socket))["event"] == "posted"
        stage.server.delete(root)
        stage.says("after")
        events = [(await frame(socket))["event"] for _ in range(2)]
        assert events == ["post_deleted", "posted"]
        assert (await stage.api.get(f"/posts/{reply.id}")).status_code == 404


async def test_everybody_is_mentioned_in_small_channels_only() -> None:
    async with scene() as stage, websocket(stage.server, stage.fleet.token) as socket:
        await hello(socket)
        stage.says("@here", "<!channel> @channel", "@everyone")
        mentions = [(await frame(socket))["data"].get("mentions") for _ in range(3)]
        assert mentions == [f'["{stage.fleet.id}"]', f'["{stage.fleet.id}"]', None]
        for number in range(1000):
            stage.support.members[f"member{number}"] = 1
        stage.says("@all", "@fleet")
        mentions = [(await frame(socket))["data"].get("mentions") for _ in range(2)]
        assert mentions == [None, f'["{stage.fleet.id}"]']


async def test_a_login_cookie_beats_the_header() -> None:
    """Why a client must reject the cookie: writes fail from then on."""
    async with scene() as stage:
        await stage.api.post("/users/login", json={"login_id": "dana", "password": "Passw0rd!"})
        assert (await stage.api.get("/users/me")).json()["username"] == "dana"
        assert (await stage.post("as whom?")).status_code == 401
        wrong = await stage.api.post("/users/login", json={"login_id": "dana", "password": "guess"})
        assert refused(wrong, 401, "api.user.login.invalid_credentials_email_username")


async def test_accounts_teams_and_channels_are_looked_up() -> None:
    async with scene() as stage:
        get = stage.api.get
        others = (await stage.api.post("/users/ids", json=[stage.dana.id, "y" * 26])).json()
        assert [(user["username"], "notify_props" in user) for user in others] == [("dana", False)]
        assert (await stage.api.post("/users/usernames", json=["fleet"])).json()[0]["is_bot"] is True
        assert (await get("/users/username/dana")).json()["id"] == stage.dana.id
        assert (await get("/teams/name/acme")).json()["id"] == stage.team.id
        named = await get(f"/teams/{stage.team.id}/channels/name/support")
        assert named.json() == (await get(f"/channels/{stage.support.id}")).json()
        assert refused(await get(f"/users/{'y' * 26}"), 404, "app.user.missing_account.const")
        assert refused(await get("/users/too-short"), 400, "api.context.invalid_url_param.app_error")
        assert refused(await get("/nowhere"), 404, "api.context.404.app_error")


async def test_private_channels_are_hidden_and_public_ones_readable_before_joining() -> None:
    async with scene() as stage:
        private = stage.server.create_channel(stage.team, "private", "P")
        public = stage.server.create_channel(stage.team, "public")
        hidden = await stage.api.get(f"/channels/{private.id}")
        assert refused(hidden, 403, "api.context.permissions.app_error")
        assert (await stage.api.get(f"/channels/{public.id}")).status_code == 200
        posts = await stage.api.get(f"/channels/{public.id}/posts")
        assert refused(posts, 403, "api.context.permissions.app_error")


async def test_the_limits_are_offered_to_clients() -> None:
    async with scene() as stage:
        config = (await stage.api.get("/config/client", params={"format": "old"})).json()
        assert config["MaxPostSize"] == "16383"
        assert (await stage.api.get("/system/ping")).json()["status"] == "OK"


async def test_a_bot_greets_its_owner() -> None:
    async with scene() as stage:
        bot = stage.server.create_user("second", is_bot=True, owner=stage.dana)
        channel = stage.server.direct_channel(bot, stage.dana)
        assert [post.type for post in stage.server.posts(channel)] == ["add_bot_teams_channels"]
