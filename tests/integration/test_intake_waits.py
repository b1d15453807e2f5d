"""How long a batch waits for its next try: a short while for our own Postgres, longer for what a person has to mend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from fleetprompt.connectors import intake
from fleetprompt.connectors.health import HealthRecorder
from fleetprompt.connectors.intake import AWAY_MOST_S, WAIT_MOST_S, Intake
from fleetprompt.connectors.leases import Held
from fleetprompt.kernel.errors import FleetPromptError
from tests.connected import connected_house
from tests.house import ACME
from tests.integration.test_connectors_unreadable import said

TRIES = 12


class Wrong(FleetPromptError):
    """Neither away nor the event's fault."""

    code = "wrong"


def failing(fault: Exception, waits: list[float]) -> Callable[..., Awaitable[list[Any]]]:
    """In place of `ingest`, until so many pauses were made."""

    async def fails(*_: Any) -> list[Any]:
        if len(waits) < TRIES:
            raise fault
        return []

    return fails


@pytest.mark.parametrize(
    ("fault", "most_s"),
    [
        (ConnectionRefusedError("nobody listens"), AWAY_MOST_S),
        (asyncpg.TooManyConnectionsError("no connection left"), WAIT_MOST_S),
        (Wrong("No room.", "Make room."), WAIT_MOST_S),
    ],
    ids=["away", "full", "wrong"],
)
async def test_waits_grow_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, most_s: float
) -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    async with connected_house() as stage:
        installation = await stage.adopt()
        held = Held(installation.id, ACME, "mattermost", installation.account["key"], 1)
        health = HealthRecorder(stage.house.tenancy, stage.house.registry, held)
        monkeypatch.setattr(intake, "ingest", failing(fault, waits))
        monkeypatch.setattr(intake, "asyncio", SimpleNamespace(sleep=pause))
        with capture_logs():  # drawn on a terminal, tracebacks take seconds
            await Intake(stage.house, health).keep(stage.source(installation), [said("hello")])
        monkeypatch.undo()
    assert len(waits) == TRIES
    assert waits[0] <= intake.FIRST_WAIT_S
    assert most_s / 2 <= max(waits) <= most_s
