"""What a replay wakes, and what a model is shown of a conversation."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fleetprompt.model.states import AgentState
from fleetprompt.runtime.agents.manage import set_agent_state
from fleetprompt.runtime.signals.replay import Chosen, replay
from tests.house import ACME
from tests.openai_stub import Reply
from tests.stage import OPERATOR, Stage, running_worker, stage


async def replay_all(play: Stage, signal_id: UUID) -> None:
    """And wait until its handlers are through."""
    async with play.house.tenancy.session(ACME) as session:
        await replay(session, play.registry, Chosen(ids=[signal_id]), OPERATOR)
    async with asyncio.timeout(10):
        while await play.house.value("select count(*) from public.job"):
            await asyncio.sleep(0.05)


def shown(play: Stage) -> list[tuple[str, str]]:
    """(role, text) of what the model was given last."""
    messages: list[dict[str, Any]] = play.stub.requests[-1].json["messages"]
    return [(message["role"], str(message["content"])) for message in messages]


async def test_a_replayed_message_that_was_answered_is_not_answered_again_by_a_refusal() -> None:
    async with stage() as play:
        play.stub.script([Reply.says("Once.")])
        signal_id = await play.says("hello")
        await play.chat.wait_for(1)
        async with play.house.tenancy.session(ACME) as session:
            await set_agent_state(session, play.registry, "fleet", OPERATOR, AgentState.PAUSED)
        await replay_all(play, signal_id)
        assert [request["text"] for _, request in play.chat.entries] == ["Once."]


async def test_a_replayed_message_that_was_refused_is_answered_once_it_can_be() -> None:
    async with stage() as play:
        play.stub.script([Reply.says("Now.")])
        async with play.house.tenancy.session(ACME) as session:
            await set_agent_state(session, play.registry, "fleet", OPERATOR, AgentState.PAUSED)
        signal_id = await play.says("hello")
        assert "paused" in (await play.chat.wait_for(1))[0]
        async with play.house.tenancy.session(ACME) as session:
            await set_agent_state(session, play.registry, "fleet", OPERATOR, AgentState.ACTIVE)
        await replay_all(play, signal_id)
        assert (await play.chat.wait_for(2))[1] == "Now."


async def test_a_message_of_an_installation_that_is_disabled_wakes_nobody() -> None:
    async with stage(working=False) as play:
        await play.says("hello")
        await play.house.tenant_rows(ACME, "update installations set state = 'disabled'")
        async with running_worker(play), asyncio.timeout(10):
            while await play.house.value("select count(*) from public.job"):
                await asyncio.sleep(0.05)
        assert await play.executions() == []
        assert play.stub.requests == []


async def test_an_answer_that_was_posted_after_the_next_question_is_part_of_its_conversation() -> None:
    async with stage() as play:
        play.stub.script([Reply.says("It is 4."), Reply.says("It is 6.")])
        await play.says("what is 2 + 2?", at_ms=1000)
        await play.chat.wait_for(1)
        await play.run_in_state("succeeded")
        await play.project_answers()  # at 5000
        await play.says("and 2 more?", at_ms=2000)
        await play.chat.wait_for(2)
        assert [text for _, text in shown(play)][-3:] == [
            "dana: what is 2 + 2?",
            "It is 4.",
            "dana: and 2 more?",
        ]


async def test_a_long_conversation_is_read_no_further_than_it_is_shown_and_counted_to_a_bound() -> None:
    async with stage(limits={"context_messages": 5}) as play:
        play.stub.script([Reply.says("First."), Reply.says("Second.")])
        await play.says("begin", at_ms=1)
        await play.chat.wait_for(1)
        await play.house.tenant_rows(
            ACME,
            "insert into messages (id, conversation_id, installation_id, external_id, author_kind, author_id,"
            " author_name, text, sent_at_ms) select gen_random_uuid(), conversation_id, installation_id, 'x' || n,"
            " 'person', 'u1', 'dana', 'line ' || n, 1 + n from messages, generate_series(1, 1500) n",
        )
        await play.says("go on", at_ms=9000)
        await play.chat.wait_for(2)
        texts = [text for role, text in shown(play) if role == "user"]
        assert "line 1496" in texts[0] + texts[-1]
        assert "line 1495\n" not in "\n".join(texts)
        assert "At least 995 earlier messages" in shown(play)[0][1]
