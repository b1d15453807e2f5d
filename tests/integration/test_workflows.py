"""Workflows on a real database: a signal, its run, its steps, and how each may end."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.model import WorkflowRun, WorkflowStep
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.signals.replay import Chosen, replay
from fleetprompt.runtime.workflows.definition import read
from fleetprompt.runtime.workflows.manage import add_workflow
from tests.house import ACME, GLOBEX
from tests.stage import OPERATOR, Stage, stage

HOLD = {
    "name": "hold-late-orders",
    "on": "tenant.order.late",
    "steps": [
        {"name": "hold", "directive": "orders.hold", "params": {"number": "{{signal.payload.number}}", "reason": "late"}},
        {"name": "tell", "emit": "tenant.order.held", "payload": {"receipt": "{{steps.hold.result.external_id}}"}},
    ],
}  # fmt: skip


async def add(play: Stage, definition: dict[str, Any]) -> None:
    async with play.house.tenancy.session(ACME) as session:
        await add_workflow(session, play.registry, read(definition), OPERATOR)


async def happens(play: Stage, name: str = "tenant.order.late", **payload: Any) -> UUID:
    async with play.house.tenancy.session(ACME) as session:
        return (await emit(session, play.registry, NewSignal(name, payload, Actor("human", "u1", "Ada")))).id


async def ended(play: Stage, *states: str, count: int = 1, timeout_s: float = 30) -> list[WorkflowRun]:
    """All runs, once so many are in one of these states."""
    async with asyncio.timeout(timeout_s):
        while True:
            async with play.house.tenancy.session(ACME) as session:
                runs = list(await session.scalars(select(WorkflowRun).order_by(WorkflowRun.id)))
            if sum(run.state in states for run in runs) >= count:
                return runs
            await asyncio.sleep(0.03)


async def steps(play: Stage, run: WorkflowRun) -> list[WorkflowStep]:
    async with play.house.tenancy.session(ACME) as session:
        query = select(WorkflowStep).where(WorkflowStep.run_id == run.id).order_by(WorkflowStep.index)
        return list(await session.scalars(query))


async def names(play: Stage) -> list[str]:
    rows = await play.house.tenant_rows(ACME, "select name from signals order by id")
    return [row[0] for row in rows]


async def test_a_signal_leads_to_a_directive_and_its_result_to_the_next_step() -> None:
    async with stage() as play:
        await add(play, HOLD)
        await happens(play, number="1042")
        [run] = await ended(play, "succeeded", "failed")
        assert (run.state, run.error) == ("succeeded", None)
        [hold, tell] = await steps(play, run)
        assert [hold.state, tell.state] == ["succeeded", "succeeded"]
        assert [request for _, request in play.holds.entries] == [{"number": "1042", "reason": "late"}]
        rows = await play.house.tenant_rows(
            ACME, "select payload, causation_id from signals where name = 'tenant.order.held'"
        )
        assert [row[1] for row in rows] == [run.id]
        assert play.holds.entries[0][0] in rows[0][0]


async def test_a_replay_of_the_signal_runs_nothing_again() -> None:
    async with stage() as play:
        await add(play, HOLD)
        signal_id = await happens(play, number="1042")
        await ended(play, "succeeded")
        async with play.house.tenancy.session(ACME) as session:
            assert (await replay(session, play.registry, Chosen(ids=[signal_id]), OPERATOR)) == (1, 1)
        await happens(play, number="7")
        runs = await ended(play, "succeeded", count=2)
        assert len(runs) == 2
        assert [request["number"] for _, request in play.holds.entries] == ["1042", "7"]
        assert await play.house.tenant_rows(GLOBEX, "select 1 from workflow_runs") == []
