"""The directive that posts, on a sandbox Mattermost that misbehaves on command."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.errors import AdapterError
from fleetprompt.connectors import breaker
from fleetprompt.credentials import Secret
from fleetprompt.model import Conversation, Installation
from fleetprompt.packages import lifecycle
from tests.connected import OPERATOR, Stage, connected_house, until, working
from tests.house import ACME, GLOBEX


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened, working(opened.house):
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


async def test_a_post_arrives_once_and_is_told(stage: Stage, installation: Installation) -> None:
    directive_id = await stage.post(installation, "The order shipped.")
    row = await stage.directive(directive_id)
    assert (row["state"], stage.bot_posts()) == ("succeeded", ["The order shipped."])
    signals = await stage.base.tenant_rows(
        ACME, "select payload from signals where name = 'chat.message.sent'"
    )
    assert len(signals) == 1
    messages = await stage.base.tenant_rows(ACME, "select * from messages")
    assert [(m["text"], m["author_kind"], m["directive_id"]) for m in messages] == [
        ("The order shipped.", "self", directive_id)
    ]
    assert (
        await stage.base.tenant_rows(GLOBEX, "select 1 from messages union all select 1 from signals") == []
    )


async def test_the_same_intent_posts_once(stage: Stage, installation: Installation) -> None:
    first = await stage.post(installation, "Once.", key="same")
    assert await stage.post(installation, "Once.", key="same") == first
    await stage.directive(first)
    assert stage.bot_posts() == ["Once."]


async def test_a_lost_answer_leaves_one_post(stage: Stage, installation: Installation) -> None:
    stage.server.commit_then_drop(1)
    row = await stage.directive(await stage.post(installation, "Only one of these."))
    assert (row["state"], stage.bot_posts()) == ("succeeded", ["Only one of these."])


async def test_a_lost_answer_leaves_one_post_even_when_the_server_forgot(
    stage: Stage, installation: Installation
) -> None:
    stage.server.commit_then_drop(1)
    directive_id = await stage.post(installation, "Only one of these.")
    await stage.directive(directive_id, "running", "succeeded")
    await stage.server.restart()
    row = await stage.directive(directive_id)
    assert (row["state"], stage.bot_posts()) == ("succeeded", ["Only one of these."])


async def test_a_request_that_never_arrived_is_sent_again(stage: Stage, installation: Installation) -> None:
    stage.server.drop_requests(1, only="POST /api/v4/posts")
    row = await stage.directive(await stage.post(installation, "Second try."))
    assert (row["state"], stage.bot_posts()) == ("succeeded", ["Second try."])


async def test_a_rate_limit_is_honoured_and_is_no_failure(stage: Stage, installation: Installation) -> None:
    stage.server.answer_429(1, retry_after_s=1, only="POST /api/v4/posts")
    row = await stage.directive(await stage.post(installation, "Later."))
    assert (row["state"], row["failures"], stage.bot_posts()) == ("succeeded", 0, ["Later."])
    assert (row["finished_at"] - row["created_at"]).total_seconds() >= 1.0


async def test_an_outage_is_waited_out(stage: Stage, installation: Installation) -> None:
    stage.server.fail_5xx(2, 503, only="GET")
    await stage.server.stop()
    directive_id = await stage.post(installation, "After the outage.")
    await stage.directive(directive_id, "requested")
    await stage.server.start()
    row = await stage.directive(directive_id)
    assert (row["state"], stage.bot_posts()) == ("succeeded", ["After the outage."])


async def test_a_long_answer_is_several_posts_in_order(stage: Stage, installation: Installation) -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 1000 for n in range(8))
    row = await stage.directive(await stage.post(installation, text))
    posts = stage.bot_posts()
    assert (row["state"], len(posts)) == ("succeeded", 3)
    assert max(map(len, posts)) <= 16383
    assert posts[0].startswith("Paragraph 0")
    assert "Paragraph 7" in posts[-1]


async def test_a_model_cannot_notify_everybody(stage: Stage, installation: Installation) -> None:
    await stage.directive(await stage.post(installation, "Hello @all and @dana, see `@here`."))
    assert stage.bot_posts() == ["Hello @\u200ball and @\u200bdana, see `@here`."]


async def test_a_deleted_root_fails_with_a_clear_reason(stage: Stage, installation: Installation) -> None:
    root = stage.server.post(stage.dana, stage.support, "A question")
    stage.server.delete(root)
    row = await stage.directive(await stage.post(installation, "An answer", thread_id=root.id))
    assert (row["state"], row["error_code"]) == ("failed", "place_gone")
    assert "gone" in row["error"]


async def test_a_channel_that_the_bot_is_not_in_fails_with_advice(
    stage: Stage, installation: Installation
) -> None:
    stage.server.remove_from_channel(stage.bot, stage.support)
    row = await stage.directive(await stage.post(installation, "Hello"))
    assert (row["state"], row["error_code"]) == ("failed", "not_allowed")
    assert "Add the bot" in row["error"]


async def test_a_revoked_token_waits_for_a_person_and_says_so(
    stage: Stage, installation: Installation
) -> None:
    stage.server.revoke(stage.bot)
    directive_id = await stage.post(installation, "Hello")
    health = (
        "select sending_error_code, sending_remedy from installation_health where sending_error is not null"
    )

    found = await until(lambda: stage.base.tenant_rows(ACME, health))
    assert found[0]["sending_error_code"] == "credential_refused"
    assert "token" in found[0]["sending_remedy"]
    row = await stage.directive(directive_id, "requested")
    assert row["failures"] == 0


async def test_after_five_failures_the_far_side_is_left_alone_and_then_tried_once(
    stage: Stage, installation: Installation
) -> None:

    await stage.server.stop()
    directive_id = await stage.post(installation, "Patience.")
    opened = "select failures from installation_health where failures >= 5 and blocked_until > now()"

    await until(lambda: stage.base.tenant_rows(ACME, opened))
    async with stage.house.tenancy.session(ACME) as session:
        assert (await breaker.standing(session, installation.id)).wait_s > 0
    await stage.server.start()
    await stage.base.tenant_rows(ACME, "update installation_health set blocked_until = now()")
    async with stage.house.tenancy.session(ACME) as session:
        assert (await breaker.standing(session, installation.id)).wait_s == 0
        assert (await breaker.standing(session, installation.id)).wait_s > 0  # one probe only
    await stage.base.tenant_rows(ACME, "update installation_health set blocked_until = now()")
    await stage.base.rows("update public.job set scheduled_at = now()")
    assert (await stage.directive(directive_id))["state"] == "succeeded"
    healed = await stage.base.tenant_rows(ACME, "select failures, blocked_until from installation_health")
    assert [tuple(row) for row in healed] == [(0, None)]


async def test_a_disabled_installation_posts_nothing(stage: Stage, installation: Installation) -> None:
    await stage.base.tenant_rows(ACME, "update installations set state = 'disabled'")
    row = await stage.directive(await stage.post(installation, "Hello"))
    assert (row["state"], row["error_code"], stage.bot_posts()) == ("failed", "not_installed", [])


async def test_a_burst_keeps_our_own_pace_and_nothing_fails(stage: Stage) -> None:
    slow = await stage.adopt(posts_per_second=20, post_burst=2)
    posts = [await stage.post(slow, f"Number {number}.") for number in range(8)]
    rows = [await stage.directive(directive_id) for directive_id in posts]
    assert {(row["state"], row["failures"]) for row in rows} == {("succeeded", 0)}
    assert sorted(stage.bot_posts()) == [f"Number {number}." for number in range(8)]
    times = sorted(p.create_at for p in stage.server.posts() if p.user_id == stage.bot.id and not p.type)
    assert times[-1] - times[0] >= 200


async def test_typing_is_shown_in_the_thread(stage: Stage, installation: Installation) -> None:
    channel = stage.house.registry.channels["mattermost"]
    assert channel.typing is not None
    conversation = Conversation(
        id=installation.id,
        installation_id=installation.id,
        channel_id=stage.support.id,
        thread_id="",
        channel_kind="public",
        channel_name="support",
    )
    await channel.typing(ACME, conversation)
    await stage.server.stop()
    await stage.connectors.pool.discard(installation.id)
    with pytest.raises(AdapterError):
        await channel.typing(ACME, conversation)


async def test_an_answer_of_many_posts_is_cut_and_says_so(stage: Stage) -> None:
    installation = await stage.adopt(max_posts_per_answer=2)
    await stage.directive(await stage.post(installation, "word " * 20_000))
    posts = stage.bot_posts()
    assert len(posts) == 2
    assert posts[-1].endswith("*(The rest was too long to post.)*")
    assert max(map(len, posts)) <= 16383


async def test_new_settings_replace_the_open_adapter(stage: Stage, installation: Installation) -> None:
    await stage.directive(await stage.post(installation, "As fleet."))
    other = stage.server.create_user("second", is_bot=True)
    stage.server.add_to_channel(other, stage.support)
    secrets = {"bot_token": Secret(other.token)}
    asked = await lifecycle.configure(
        stage.house, ACME, "mattermost", config={}, secrets=secrets, actor=OPERATOR
    )
    await stage.directive(asked.directive_id)
    await stage.directive(await stage.post(installation, "As second."))
    assert [p.message for p in stage.server.posts() if p.user_id == other.id and not p.type] == ["As second."]
