"""The short form of `make chaos`, one seed; and Postgres restarted five times under load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos import report as reports
from tests.chaos.plan import Attack, Blow, Round, attacks, mentions
from tests.chaos.report import Report, told
from tests.chaos.run import play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHORT = {"a_second": 1.5, "lease_s": 2.0, "pause_s": 1.2}
"""Short leases and many blows in little time. Seed 19 has every kind of kill among them, a frozen listener and a full disk."""


async def _holds(chaos: Round, plan: Sequence[Attack], name: str) -> None:
    report = Report(chaos, name)
    verdict = await play(chaos, plan, mentions(chaos), report, widened=True)
    words = f"{told(chaos, verdict, report)}\nbounds widened by {verdict.machine_factor}"
    print(words)
    assert verdict.holds, words


@pytest.fixture(autouse=True)
def _reports(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report of its own for each run, since several may run at once; pytest keeps the last three."""
    place = tmp_path_factory.mktemp("chaos")
    monkeypatch.setattr(reports, "REPORTS", place)
    return place


async def test_a_seed_of_everything() -> None:
    chaos = Round(19, "postgres", "split", 22.0, **SHORT)
    await _holds(chaos, attacks(chaos), "short")


async def test_postgres_restarts_five_times_under_load() -> None:
    """Nothing is lost; /readyz is 503 meanwhile, nothing is ever a 500, and all is ready soon after."""
    chaos = Round(5, "postgres", "up", 18.0, **SHORT)
    blows = (Blow.POSTGRES_RESTART, Blow.POSTGRES_KILL)
    plan = [Attack(2.0 + 3.0 * turn, blows[turn % 2]) for turn in range(5)]
    await _holds(chaos, plan, "postgres")
