"""A workflow that is put away while a signal asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from fleetprompt.model import Signal
from fleetprompt.model.states import WorkflowState
from fleetprompt.runtime.workflows import chain, start
from fleetprompt.runtime.workflows.manage import set_workflow_state
from tests.house import ACME
from tests.provided import installed, provides
from tests.stage import OPERATOR, Stage, stage


@pytest.fixture
async def play() -> AsyncIterator[Stage]:
    async with stage(working=False) as opened:
        yield opened


@pytest.mark.parametrize("put_away", [True, False])
async def test_what_is_put_away_meanwhile_does_not_start(
    play: Stage, monkeypatch: pytest.MonkeyPatch, put_away: bool
) -> None:
    await provides(play, await installed(play))
    await play.says("hello there", addressed=False)
    depth_of = chain.depth_of

    async def late(*known: Any) -> int:
        if put_away:
            async with play.house.tenancy.session(ACME) as session:
                await set_workflow_state(session, play.registry, "sort", OPERATOR, WorkflowState.ARCHIVED)
        return await depth_of(*known)

    monkeypatch.setattr(start, "depth_of", late)
    async with play.house.tenancy.session(ACME) as session:
        signal = (await session.scalars(select(Signal).where(Signal.name == "chat.message.received"))).one()
        await start.start_runs(session, play.registry, signal)
    runs = await play.house.tenant_rows(ACME, "select 1 from workflow_runs")
    assert len(runs) == (not put_away)
