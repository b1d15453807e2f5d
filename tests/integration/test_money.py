"""Money is reserved before a model call and settled after it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.tenancy.limits import OrganizationLimits, own_limits, set_limits
from tests.house import ACME, GLOBEX
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


async def test_an_organizations_limits_hold_for_all_its_agents_and_for_nobody_else() -> None:
    async with stage(model=PRICED) as play:
        await set_limits(play.house.database, ACME, {"cost_usd_per_day": "0.001", "runs_per_hour": 1})
        await play.says("hello")
        assert "budget" in (await play.chat.wait_for(1))[0]
        await play.says("hello", thread="t2", at_ms=2000)
        assert "this hour" in (await play.chat.wait_for(2))[1]
        assert play.stub.requests == []
        async with play.house.tenancy.session(ACME) as session:
            assert (await own_limits(session)).runs_per_hour == 1
        async with play.house.tenancy.session(GLOBEX) as session:
            assert (await own_limits(session)).runs_per_hour == OrganizationLimits().runs_per_hour


async def test_a_limit_that_is_none_is_refused() -> None:
    async with stage(working=False) as play:
        with pytest.raises(InvalidInput, match="runs_per_hour"):
            await set_limits(play.house.database, ACME, {"runs": 1})
