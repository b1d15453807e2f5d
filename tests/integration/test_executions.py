"""Runs of agents, from a message to its answer, on a real database and a model server on loopback."""

from __future__ import annotations

from typing import Any

from fleetprompt.runtime.directives.decide import approve, reject
from fleetprompt.runtime.executions.manage import cancel_execution, retry_execution
from fleetprompt.runtime.signals.replay import Chosen, replay
from tests.house import ACME, GLOBEX
from tests.openai_stub import Reply
from tests.stage import OPERATOR, running_worker, stage


async def test_a_message_is_answered_and_its_cost_is_recorded() -> None:
    async with stage() as play:
        play.stub.script([Reply.says("It shipped.", tokens=(120, 7))])
        await play.says("where is my order?")
        assert await play.chat.wait_for(1) == ["It shipped."]
        run = await play.run_in_state("succeeded")
        assert (run.steps, run.input_tokens, run.output_tokens, run.output) == (1, 120, 7, "It shipped.")
        assert run.cost_usd is None  # nobody knows the price of the model "test"
        assert await play.executions(GLOBEX) == []


async def test_a_read_only_tool_and_a_directive_are_worked_off_before_the_answer() -> None:
    async with stage() as play:
        both = (("orders.lookup", {"number": "1042"}), ("orders.hold", {"number": "1042", "reason": "late"}))
        play.stub.script([Reply.calls(*both), Reply.says("On hold.")])
        await play.says("hold order 1042")
        assert await play.chat.wait_for(1) == ["On hold."]
        assert play.looked_up == ["1042"]
        assert [request for _, request in play.holds.entries] == [{"number": "1042", "reason": "late"}]
        run = await play.run_in_state("succeeded")
        assert (run.steps, run.tool_calls) == (2, 2)


async def test_malformed_unknown_and_unfitting_calls_are_told_to_the_model_and_do_nothing() -> None:
    async with stage() as play:
        wrong: list[tuple[str, Any]] = [
            ("orders.hold", "{not json"),
            ("rm_rf", {}),
            ("orders.hold", {"wrong": 1}),
        ]
        play.stub.script([Reply.calls(*wrong), Reply.says("I could not.")])
        await play.says("do something")
        assert await play.chat.wait_for(1) == ["I could not."]
        assert play.holds.entries == []
        told = [
            message["content"]
            for message in play.stub.requests[-1].json["messages"]
            if message["role"] == "tool"
        ]
        assert len(told) == 3
        assert "no tool 'rm_rf'" in told[1]


async def test_passing_failures_are_retried_and_the_fallback_answers_in_the_end() -> None:
    async with stage(fallback="openai:second") as play:
        play.stub.rule(
            lambda request: (
                Reply.says("From the second.") if request["model"] == "second" else Reply.unauthorized()
            )
        )
        await play.says("hello")
        assert await play.chat.wait_for(1) == ["From the second."]
        assert (await play.run_in_state("succeeded")).on_fallback


async def test_a_failure_for_good_says_one_clear_sentence_in_the_channel() -> None:
    async with stage() as play:
        play.stub.script([Reply.unauthorized()])
        await play.says("hello")
        (sentence,) = await play.chat.wait_for(1)
        assert "administrator" in sentence
        run = await play.run_in_state("failed")
        assert run.error_code == "model_credential_refused"
        play.stub.script([Reply.says("Back again.")])
        async with play.house.tenancy.session(ACME) as session:
            await retry_execution(session, play.registry, run.id, OPERATOR)  # type: ignore[arg-type]
        assert (await play.chat.wait_for(2))[1] == "Back again."


async def test_a_run_stops_at_its_limit_of_steps() -> None:
    async with stage(limits={"max_steps": 2}) as play:
        play.stub.rule(lambda _: Reply.calls(("orders.lookup", {"number": "1"})))
        await play.says("loop")
        (sentence,) = await play.chat.wait_for(1)
        assert "more steps" in sentence
        assert (await play.run_in_state("failed")).error_code == "limit_steps"


async def test_a_side_effect_waits_for_approval_where_the_policy_asks_and_is_done_once() -> None:
    async with stage(policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(("orders.hold", {"number": "7"})), Reply.says("Done.")])
        await play.says("hold order 7")
        (asked,) = await play.chat.wait_for(1)
        assert "approve" in asked
        assert (await play.run_in_state("waiting")).state == "waiting"
        assert play.holds.entries == []
        held = next(d for d in await play.directives() if d.name == "orders.hold")
        async with play.house.tenancy.session(ACME) as session:
            await approve(session, play.registry, held.id, OPERATOR)  # type: ignore[arg-type]
        assert (await play.chat.wait_for(2))[1] == "Done."
        assert len(play.holds.entries) == 1


async def test_a_rejected_side_effect_is_not_done_and_the_model_is_told() -> None:
    async with stage(policies={"approval": {"orders.hold": "ask"}}) as play:
        play.stub.script([Reply.calls(("orders.hold", {"number": "7"})), Reply.says("I was not allowed.")])
        await play.says("hold order 7")
        await play.run_in_state("waiting")
        held = next(d for d in await play.directives() if d.name == "orders.hold")
        async with play.house.tenancy.session(ACME) as session:
            await reject(session, play.registry, held.id, OPERATOR, "not today")  # type: ignore[arg-type]
        assert (await play.chat.wait_for(2))[1] == "I was not allowed."
        assert play.holds.entries == []


async def test_a_replayed_message_repeats_no_model_call_and_no_effect() -> None:
    async with stage() as play:
        play.stub.script([Reply.says("Once.")])
        signal_id = await play.says("hello")
        await play.chat.wait_for(1)
        await play.run_in_state("succeeded")
        async with play.house.tenancy.session(ACME) as session:
            assert (await replay(session, play.registry, Chosen(ids=[signal_id]), OPERATOR))[0] == 1
        play.stub.script([Reply.says("A later one.")])
        await play.says("next", at_ms=2000)
        assert await play.chat.wait_for(2) == ["Once.", "A later one."]
        assert len(await play.executions()) == 2


async def test_messages_of_one_thread_are_answered_in_order() -> None:
    async with stage(working=False) as play:
        play.stub.rule(
            lambda request: Reply.says("re: " + request["messages"][-1]["content"].split(": ")[-1])
        )
        for at_ms in (3000, 1000, 2000):
            await play.says(f"q{at_ms}", at_ms=at_ms)
        async with running_worker(play):
            assert await play.chat.wait_for(3) == ["re: q1000", "re: q2000", "re: q3000"]


async def test_a_canceled_run_says_nothing_more() -> None:
    async with stage(policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(("orders.hold", {"number": "7"}))])
        await play.says("hold order 7")
        run = await play.run_in_state("waiting")
        async with play.house.tenancy.session(ACME) as session:
            await cancel_execution(session, play.registry, run.id, OPERATOR)  # type: ignore[arg-type]
        held = next(d for d in await play.directives() if d.name == "orders.hold")
        assert held.state == "canceled"
        assert (await play.run_in_state("canceled")).output is None


async def test_what_was_cut_from_a_long_conversation_is_said_to_the_model() -> None:
    async with stage(limits={"context_messages": 2}, working=False) as play:
        for at_ms in range(1, 6):
            await play.says(f"chatter {at_ms}", at_ms=at_ms, addressed=False)
        play.stub.script([Reply.says("ok")])
        await play.says("and now?", at_ms=10)
        async with running_worker(play):
            await play.chat.wait_for(1)
        sent = str(play.stub.requests[-1].json["messages"])
        assert "3 earlier messages" in sent
        assert "chatter 5" in sent
        assert "chatter 1" not in sent


async def test_the_approval_request_shows_what_it_is_about_and_how_to_decide() -> None:
    async with stage(policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(("orders.hold", {"number": "7", "reason": "late"}))])
        await play.says("hold order 7")
        (asked,) = await play.chat.wait_for(1)
        assert "number = 7, reason = late" in asked
        assert "directives approve" in asked


async def test_a_second_failure_after_a_retry_is_said_too() -> None:
    async with stage() as play:
        play.stub.rule(lambda _: Reply.unauthorized())
        await play.says("hello")
        await play.chat.wait_for(1)
        run = await play.run_in_state("failed")
        async with play.house.tenancy.session(ACME) as session:
            await retry_execution(session, play.registry, run.id, OPERATOR)  # type: ignore[arg-type]
        assert len(await play.chat.wait_for(2)) == 2
