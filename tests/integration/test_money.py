"""Money is reserved before a model call and settled after it."""

from __future__ import annotations

from decimal import Decimal

from tests.house import ACME
from tests.openai_stub import Reply
from tests.stage import stage

PRICED = "openai:gpt-4o"


async def test_a_call_that_could_exceed_the_runs_budget_is_not_made() -> None:
    async with stage(model=PRICED, limits={"max_cost_usd": "0.001"}) as play:
        await play.says("hello")
        (sentence,) = await play.chat.wait_for(1)
        assert "budget" in sentence
        assert play.stub.requests == []
        assert (await play.run_in_state("failed")).error_code == "limit_money"


async def test_two_runs_at_once_cannot_both_reserve_the_last_of_the_days_budget() -> None:
    async with stage(model=PRICED, limits={"cost_usd_per_day": "0.03"}) as play:
        play.stub.rule(lambda _: Reply.says("Answered.", delay_s=1.0))
        for thread in ("t1", "t2"):
            await play.says("hello", thread=thread, external_id=thread)
        said = sorted(await play.chat.wait_for(2))
        assert [text for text in said if "budget" in text]
        assert "Answered." in said
        assert len(play.stub.requests) == 1


async def test_what_a_call_really_cost_takes_the_place_of_what_was_reserved() -> None:
    async with stage(model=PRICED) as play:
        play.stub.script([Reply.says("Done.", tokens=(1000, 100))])
        await play.says("hello")
        run = await play.run_in_state("succeeded")
        assert run.cost_usd is not None
        assert Decimal(0) < run.cost_usd < Decimal("0.01")
        costs = await play.house.tenant_rows(ACME, "select cost_usd from model_calls")
        assert [row[0] for row in costs] == [run.cost_usd]
