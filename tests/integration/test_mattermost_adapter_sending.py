"""Posting on a server that fails on command: what is known afterwards, and what is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import Outbound
from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    NotAllowed,
    OutcomeUnknown,
    PlaceGone,
    RateLimited,
    Refused,
    TooLong,
    Unreachable,
)
from adapters.mattermost import MattermostAdapter
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.adapter_stages import QUICK, MattermostStage

POSTS = "POST /api/v4/posts"


@pytest.fixture
async def stage() -> AsyncIterator[MattermostStage]:
    async with SandboxMattermost() as server:
        yield MattermostStage(server, server, replace(QUICK, read_timeout_s=0.5))


@pytest.fixture
async def adapter(stage: MattermostStage) -> AsyncIterator[MattermostAdapter]:
    built = stage.adapter()
    await built.open()
    yield built
    await built.close()


def answer(stage: MattermostStage, thread_id: str = "", **changes: object) -> Outbound:
    message = Outbound("directive-1", stage.place(thread_id=thread_id), "An answer.", first_tried_at_ms=1)
    return replace(message, **changes)  # type: ignore[arg-type]


async def test_a_post_carries_its_key_its_thread_and_its_metadata(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    root = stage.says("@fleet")
    receipt = await adapter.send(answer(stage, root, metadata={"execution": "e-1"}))
    post = stage.server.find_post(receipt.external_id)
    assert post.root_id == root
    assert post.props["fleetprompt_directive"] == "directive-1"
    assert post.props["fleetprompt_execution"] == "e-1"
    assert receipt.sent_at_ms == post.create_at
    assert stage.server.ledger[-1].pending_post_id == f"{stage.bot.id}:directive-1"


async def test_429_is_told_and_never_repeated_by_itself(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.answer_429(1, 7, only=POSTS)
    with pytest.raises(RateLimited) as limited:
        await adapter.send(answer(stage))
    assert limited.value.retry_after_s == 7
    assert stage.spoken() == []
    await adapter.send(answer(stage))
    assert stage.spoken() == ["An answer."]


async def test_a_request_cut_before_the_commit_is_unknown_and_then_certainly_absent(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.drop_requests(1, only=POSTS)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(stage))
    assert await adapter.look_up(answer(stage)) is None


@pytest.mark.parametrize("in_thread", [True, False])
async def test_a_committed_post_is_found_after_the_server_forgot_its_pending_id(
    stage: MattermostStage, adapter: MattermostAdapter, in_thread: bool
) -> None:
    message = answer(stage, stage.says("@fleet") if in_thread else "")
    stage.server.commit_then_drop(1)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(message)
    await stage.server.restart()
    found = await adapter.look_up(message)
    assert found is not None
    assert found.found
    assert stage.spoken() == ["An answer."]


async def test_a_time_out_is_unknown_and_a_repeat_meets_the_first_try_in_flight(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.delay_posts(1, 1.5)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(stage))
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(stage))  # 500 api.post.deduplicate_create_post.pending
    await asyncio.sleep(1.6)
    assert (await adapter.send(answer(stage))).external_id
    assert stage.spoken() == ["An answer."]


async def test_a_5xx_is_an_unknown_outcome(stage: MattermostStage, adapter: MattermostAdapter) -> None:
    stage.server.fail_5xx(1, 502, only=POSTS)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(stage))


async def test_nothing_was_sent_to_a_server_that_is_down(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    await stage.server.http.stop()
    with pytest.raises(Unreachable):
        await adapter.send(answer(stage))
    await stage.server.http.start()


async def test_a_frozen_server_leaves_the_outcome_unknown(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.freeze(0.8)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(stage))


async def test_a_channel_without_us_is_not_allowed_and_nothing_can_be_looked_up_there(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    secret = stage.server.create_channel("acme", "secret", "P")
    message = replace(answer(stage), place=replace(stage.place(), channel_id=secret.id))
    with pytest.raises(NotAllowed) as refused:
        await adapter.send(message)
    assert "Add the bot" in refused.value.advice
    with pytest.raises(OutcomeUnknown):
        await adapter.look_up(message)


async def test_a_deleted_root_is_given_up_and_the_answer_is_certainly_absent(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    root = stage.says("@fleet never mind")
    stage.deletes(root)
    with pytest.raises(PlaceGone):
        await adapter.send(answer(stage, root))
    assert await adapter.look_up(answer(stage, root)) is None


async def test_a_reply_is_no_root(stage: MattermostStage, adapter: MattermostAdapter) -> None:
    reply = stage.says("a reply", thread_id=stage.says("a root"))
    with pytest.raises(PlaceGone):
        await adapter.send(answer(stage, reply))


async def test_a_revoked_token_is_told_with_advice(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.revoke(stage.bot)
    with pytest.raises(CredentialRefused) as refused:
        await adapter.send(answer(stage))
    assert "token" in refused.value.advice
    assert stage.bot.token not in repr(refused.value)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"key": ""}, Refused),
        ({"key": "with space"}, Refused),
        ({"key": "k" * 101}, Refused),
        ({"text": "\u200b\n".strip("\u200b")}, Refused),
        ({"text": "x" * 16384}, TooLong),
    ],
)
async def test_what_the_server_would_not_take_is_not_sent(
    stage: MattermostStage, adapter: MattermostAdapter, changes: dict[str, object], kind: type[AdapterError]
) -> None:
    with pytest.raises(kind):
        await adapter.send(answer(stage, "", **changes))
    assert stage.server.ledger == [] or stage.spoken() == []


@pytest.mark.parametrize("bad_id", ["../users/me", "a b", "", "x" * 65, "ä"])
async def test_an_id_that_could_steer_the_path_is_refused(
    stage: MattermostStage, adapter: MattermostAdapter, bad_id: str
) -> None:
    with pytest.raises(PlaceGone):
        await adapter.send(replace(answer(stage), place=replace(stage.place(), channel_id=bad_id)))


async def test_text_that_utf_8_cannot_hold_is_mended(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    await adapter.send(answer(stage, text="a\ud800b\x00c"))
    assert stage.spoken() == ["a\ufffdb\ufffdc"]


async def test_a_post_is_found_some_pages_back_and_not_before_its_first_try(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    receipt = await adapter.send(answer(stage))
    for number in range(450):
        stage.says(str(number))
    found = await adapter.look_up(answer(stage))
    assert found is not None
    assert found.external_id == receipt.external_id
    tried_later_ms = receipt.sent_at_ms + 3_600_000
    assert await adapter.look_up(answer(stage, key="another", first_tried_at_ms=tried_later_ms)) is None


async def test_nobody_else_can_pretend_to_be_our_answer(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    root = stage.says("@fleet")
    stage.server.post(
        stage.dana, stage.support, "forged", root_id=root, props={"fleetprompt_directive": "directive-1"}
    )
    assert await adapter.look_up(answer(stage, root)) is None
    assert await adapter.look_up(answer(stage)) is None


async def test_an_edit_keeps_the_key_so_that_look_up_still_finds_it(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    receipt = await adapter.send(answer(stage))
    await adapter.edit(receipt.external_id, "Better.")
    assert stage.spoken() == ["Better."]
    assert await adapter.look_up(answer(stage)) is not None
    with pytest.raises(Refused):
        await adapter.edit(receipt.external_id, " ")


async def test_a_read_is_repeated_a_few_times_and_then_told(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.fail_5xx(2, only="GET /api/v4/channels")
    assert await adapter.look_up(answer(stage)) is None
    stage.server.fail_5xx(3, only="GET /api/v4/channels")
    with pytest.raises(FarSideFailed):
        await adapter.look_up(answer(stage))


async def test_a_read_does_not_wait_for_a_far_away_moment(
    stage: MattermostStage, adapter: MattermostAdapter
) -> None:
    stage.server.answer_429(1, 600, only="GET /api/v4/channels")
    with pytest.raises(RateLimited) as limited:
        await adapter.look_up(answer(stage))
    assert limited.value.retry_after_s == 600
