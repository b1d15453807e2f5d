"""Directives whose kind is gone, whose receipt cannot be stored, whose end a person decides at the same moment."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetprompt.runtime.directives import Delivered, EffectTry, Outcome
from fleetprompt.runtime.directives.decide import retry
from fleetprompt.runtime.jobs import Work
from fleetprompt.tenancy import TenantSession
from tests.directives import PERSON, FarSide, ask, effects, registry_for, run_once, run_out, the_directive
from tests.house import ACME, House, fresh_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


class DirtyFarSide(FarSide):
    """What it says of a success holds what Postgres cannot hold."""

    async def perform(self, effect: EffectTry) -> Outcome:
        await super().perform(effect)
        return Delivered({"id": "a\x00b", "note": "\ud800", "size": float("nan")})


async def test_a_directive_whose_kind_is_gone_fails_with_that_reason(house: House, tmp_path: Path) -> None:
    registry = registry_for(FarSide(tmp_path / "far"))
    await ask(house, registry, lane="l")
    registry.directives.clear()
    outcomes = await run_out(house, registry)
    directive = await the_directive(house)
    assert (directive["state"], directive["error_code"]) == ("failed", "job_died")
    assert "There is no directive" in directive["error"]
    assert 10 <= outcomes.count("postponed") <= 30


async def test_a_receipt_is_normalised_before_it_is_stored(house: House, tmp_path: Path) -> None:
    far = DirtyFarSide(tmp_path / "far")
    registry = registry_for(far)
    await ask(house, registry)
    assert await run_once(house, registry) == "finished"
    assert (await the_directive(house))["state"] == "succeeded"
    assert far.tries() == 1
    assert await effects(house) == ["sent"]


async def test_a_round_that_a_person_asks_for_is_not_lost_to_the_end_of_an_idle_job(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job finds nothing to do; if it ended in another transaction, a person could come in between."""
    registry = registry_for(FarSide(tmp_path / "far"))
    requested = await ask(house, registry)
    await house.tenant_rows(ACME, "update directives set state = 'running'")
    await house.tenant_rows(ACME, "update directives set state = 'failed'")
    finish = Work.finish

    @contextlib.asynccontextmanager
    async def late_finish(work: Work) -> AsyncIterator[TenantSession]:
        async with house.tenancy.session(ACME) as session:
            await retry(session, registry, requested.id, PERSON)
        async with finish(work) as session:
            yield session

    monkeypatch.setattr(Work, "finish", late_finish)
    await run_once(house, registry)
    monkeypatch.undo()
    if (await the_directive(house))["state"] == "failed":
        async with house.tenancy.session(ACME) as session:
            await retry(session, registry, requested.id, PERSON)
    await run_out(house, registry)
    assert (await the_directive(house))["state"] == "succeeded"
