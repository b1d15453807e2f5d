"""Runs whose tools, limits and prices change under them, and what of them is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.runtime.directives.decide import approve
from fleetprompt.runtime.executions import advance
from fleetprompt.runtime.executions.manage import cancel_execution, retry_execution
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession
from tests.house import ACME
from tests.openai_stub import Reply
from tests.stage import OPERATOR, Stage, running_worker, stage

HOLD = ("orders.hold", {"number": "7"})
LOOKUP = ("orders.lookup", {"number": "1"})
PRICED = "openai:gpt-4o"  # 2.50 dollars for a million tokens of input


def results(play: Stage) -> list[str]:
    """What the tools gave back, as the model was told in its last call."""
    messages = play.stub.requests[-1].json["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


async def waiting_directive(play: Stage) -> Any:
    await play.run_in_state("waiting")
    return next(one for one in await play.directives() if one.name == "orders.hold")


async def let_it_happen(play: Stage) -> None:
    held = await waiting_directive(play)
    async with play.house.tenancy.session(ACME) as session:
        await approve(session, play.registry, held.id, OPERATOR)


async def test_limits_of_another_version_are_read_as_far_as_they_are_known() -> None:
    async with stage(working=False) as play:
        play.stub.script([Reply.calls(LOOKUP), Reply.says("Hello.")])
        newer = '{"max_steps": 1, "max_dreams": 3, "max_seconds": "some"}'
        await play.house.tenant_rows(ACME, f"update agents set limits = '{newer}'")
        await play.says("hello")
        async with running_worker(play):
            run = await play.run_in_state("failed")
        assert run.error_code == "limit_steps"
        assert run.limits["max_seconds"] == 300


async def test_limits_of_a_run_of_another_version_do_not_break_it() -> None:
    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD), Reply.says("Done.")])
        await play.says("hold 7")
        async with running_worker(play):
            await waiting_directive(play)
            newer = """limits || '{"max_dreams": 3}'"""
            await play.house.tenant_rows(ACME, f"update executions set limits = {newer}")
            await let_it_happen(play)
            await play.run_in_state("succeeded")


async def test_a_run_whose_history_cannot_be_read_fails_and_says_so() -> None:
    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD)])
        await play.says("hold 7")
        async with running_worker(play):
            await waiting_directive(play)
            await play.house.tenant_rows(
                ACME, """update execution_steps set reply = '{"from": "the future"}'"""
            )
            await play.house.rows("update public.job set max_attempts = 1")
            hurry = asyncio.create_task(hurry_up(play))
            await let_it_happen(play)
            run = await play.run_in_state("failed")
            hurry.cancel()
            assert run.error_code == "job_died"
            assert "administrator" in (await play.chat.wait_for(2))[1]


async def hurry_up(play: Stage) -> None:
    """Every attempt is the last one, and at once."""
    while True:
        await play.house.rows(
            "update public.job set max_attempts = 1, scheduled_at = now() where kind = 'execution.run'"
        )
        await asyncio.sleep(0.02)


async def test_a_reading_tool_that_is_gone_is_told_to_the_model() -> None:
    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD, LOOKUP), Reply.says("I could not look.")])
        await play.says("hold 7, then look 1 up")
        async with running_worker(play):
            await waiting_directive(play)
            del play.registry.tools["orders.lookup"]
            await let_it_happen(play)
            await play.run_in_state("succeeded")
            assert "no longer" in results(play)[1]


async def test_a_tool_with_a_side_effect_that_was_taken_from_the_agent_meanwhile_does_nothing() -> None:
    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD, HOLD), Reply.says("Only one.")])
        await play.says("hold 7 twice")
        async with running_worker(play):
            await waiting_directive(play)
            await play.house.tenant_rows(ACME, "update agents set tools = '{orders.lookup}'")
            await let_it_happen(play)
            await play.run_in_state("succeeded")
            assert "no longer" in results(play)[1]
            assert play.holds.entries == []  # also the one that was approved


async def test_a_directive_that_cannot_be_requested_is_told_to_the_model() -> None:
    async with stage(working=False) as play:
        play.stub.script([Reply.calls(HOLD), Reply.says("Not possible.")])
        del play.registry.directives["orders.hold"]
        await play.says("hold 7")
        async with running_worker(play):
            await play.run_in_state("succeeded")
            assert "There is no directive" in results(play)[0]


async def test_what_a_tool_returns_is_normalised_before_it_is_stored() -> None:
    async with stage(working=False) as play:
        look_up = play.registry.tools["orders.lookup"]

        async def dirty(context: Any, arguments: Any) -> str:
            return "late\x00 \ud800"

        object.__setattr__(look_up, "run", dirty)
        play.stub.script([Reply.calls(LOOKUP), Reply.says("Late.")])
        await play.says("look 1 up")
        async with running_worker(play):
            await play.run_in_state("succeeded")
        assert results(play) == ["late\ufffd \ufffd"]


async def test_waiting_for_a_person_uses_up_no_time_of_the_run() -> None:
    async with stage(policies={"approval": {"*": "ask"}}, limits={"max_seconds": 3}) as play:
        play.stub.script([Reply.calls(HOLD, LOOKUP), Reply.says("Done.")])
        await play.says("hold 7, then look 1 up")
        await waiting_directive(play)
        await play.house.tenant_rows(
            ACME, "update tool_calls set created_at = created_at - interval '1 hour'"
        )
        await let_it_happen(play)
        await play.run_in_state("succeeded")


async def test_calls_that_follow_each_other_are_not_counted_several_times() -> None:
    async with stage(working=False, limits={"max_seconds": 3}) as play:
        look_up = play.registry.tools["orders.lookup"]

        async def slow(context: Any, arguments: Any) -> str:
            await asyncio.sleep(0.3)
            return "late"

        object.__setattr__(look_up, "run", slow)
        play.stub.script([Reply.calls(*[LOOKUP] * 6), Reply.says("Six times.")])
        await play.says("look 1 up six times")
        async with running_worker(play):
            assert (await play.run_in_state("succeeded", "failed")).state == "succeeded"


async def test_a_call_of_unknown_price_hides_no_known_one_from_the_daily_budget() -> None:
    """Each run spends ten cents at the first model, and what nobody knows at the second."""
    limits = {"cost_usd_per_day": "0.13", "max_output_tokens": 100}
    async with stage(model=PRICED, fallback="openai:second", limits=limits) as play:

        def rule(request: dict[str, Any]) -> Reply:
            if request["model"] == "second":
                return Reply.says("Done.")
            has_result = request["messages"][-1]["role"] == "tool"
            return Reply.unauthorized() if has_result else Reply.calls(LOOKUP, tokens=(40_000, 0))

        play.stub.rule(rule)
        await play.says("first", at_ms=1000)
        assert (await play.run_in_state("succeeded")).cost_usd is None
        await play.says("second", at_ms=2000)
        await play.chat.wait_for(2)
        assert [run.error_code for run in await play.executions()] == [None, "limit_money"]


async def test_answers_that_are_of_no_use_are_paid_for_and_counted() -> None:
    async with stage(model=PRICED, limits={"max_cost_usd": "0.05"}) as play:
        play.stub.rule(lambda _: Reply.says("", tokens=(16_000, 0)))
        await play.says("hello")
        run = await play.run_in_state("failed")
        assert run.input_tokens >= 16_000
        assert run.cost_usd is not None
        assert float(run.cost_usd) >= 0.04


async def test_a_call_that_a_canceled_run_had_made_is_paid_for_and_counted() -> None:
    async with stage(model=PRICED) as play:
        play.stub.script([Reply.says("Too late.", tokens=(16_000, 0), delay_s=0.7)])
        await play.says("hello")
        await play.stub.received(1)
        run = (await play.executions())[-1]
        async with play.house.tenancy.session(ACME) as session:
            await cancel_execution(session, play.registry, ExecutionId(run.id), OPERATOR)
        async with asyncio.timeout(10):
            while (run := (await play.executions())[-1]).input_tokens == 0:
                await asyncio.sleep(0.03)
        assert (run.state, run.steps, run.output) == ("canceled", 0, None)
        assert play.chat.entries == []


async def test_a_run_that_the_fallback_answered_is_retried_with_its_own_model() -> None:
    async with stage(fallback="openai:second", limits={"max_steps": 1}) as play:
        play.stub.rule(lambda r: Reply.calls(LOOKUP) if r["model"] == "second" else Reply.unauthorized())
        await play.says("hello")
        run = await play.run_in_state("failed")
        assert run.on_fallback
        await play.house.tenant_rows(ACME, """update executions set limits = limits || '{"max_steps": 5}'""")
        play.stub.rule(lambda r: Reply.says(f"From {r['model']}."))
        async with play.house.tenancy.session(ACME) as session:
            await retry_execution(session, play.registry, ExecutionId(run.id), OPERATOR)
        assert (await play.chat.wait_for(2))[1] == "From test."


async def test_a_directive_that_ends_while_its_run_looks_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run was woken for nothing; it must not lie down again over a result that is being written."""

    async def slow_move(session: TenantSession, row: Any, target: str, **values: Any) -> None:
        if target == "waiting":
            await asyncio.sleep(0.8)
        await move(session, row, target, **values)

    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD), Reply.says("Done.")])
        await play.says("hold 7")
        async with running_worker(play):
            await waiting_directive(play)
        settling = await play.house.database.connect_raw()
        try:
            await settling.execute("set role r_org_acme; set search_path to org_acme, pg_temp")
            async with play.house.tenancy.session(ACME) as session:
                await session.execute(text(WAKE))
            monkeypatch.setattr(advance, "move", slow_move)
            ends = settling.transaction()
            await ends.start()
            await settling.execute("update tool_calls set state = 'done', result = 'held'")
            async with running_worker(play):
                await asyncio.sleep(0.4)
                await settling.execute(WAKE)  # finds the job of the run that looks
                await ends.commit()
                await play.run_in_state("succeeded", timeout_s=5)
        finally:
            await settling.close()
        assert results(play) == ["held"]


async def test_canceling_a_run_and_the_end_of_its_directive_do_not_wait_for_each_other() -> None:
    async with stage(working=False, policies={"approval": {"*": "ask"}}) as play:
        play.stub.script([Reply.calls(HOLD)])
        await play.says("hold 7")
        async with running_worker(play):
            await waiting_directive(play)
        run = (await play.executions())[-1]

        async def cancel() -> None:
            async with play.house.tenancy.session(ACME) as session:
                await cancel_execution(session, play.registry, ExecutionId(run.id), OPERATOR)

        ending = await play.house.database.connect_raw()
        try:
            await ending.execute("set role r_org_acme; set search_path to org_acme, pg_temp")
            async with ending.transaction():
                await ending.execute("select from directives for update")
                canceling = asyncio.create_task(cancel())
                await asyncio.sleep(0.3)
                await ending.execute("update executions set tainted = true")
            await canceling
        finally:
            await ending.close()
        assert [one.state for one in await play.executions()] == ["canceled"]
        assert "canceled" in [one.state for one in await play.directives()]


WAKE = (
    "insert into public.job (id, tenant, kind, args, unique_key) select gen_random_uuid(), 'acme', 'execution.run',"
    " jsonb_build_object('execution_id', id), 'acme:execution:' || id from executions on conflict do nothing"
)
