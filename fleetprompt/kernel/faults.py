"""Fault points: named places between two steps where a test lets the process die.

`FLEETPROMPT_FAULT=name` kills the process (SIGKILL, no clean-up) when it first reaches that place; `name:3` at the
third time. Unset, a fault point costs one dictionary look-up. Names are declared here and nowhere else, so that a test can prove that
each move of each state machine has one.
"""

from __future__ import annotations

import os
import signal
from typing import Final

POINTS: Final[frozenset[str]] = frozenset(
    {
        "ingest.before_commit",
        "ingest.committed",
        "ingest.acked",
        "job.claimed",
        "job.finished",
        "signal.handled",
        "execution.created",
        "execution.started",
        "execution.model_called",
        "execution.model_recorded",
        "execution.tool_intended",
        "execution.tool_ran",
        "execution.tool_recorded",
        "execution.waiting",
        "execution.resumed",
        "execution.finished",
        "execution.failed",
        "execution.canceled",
        "directive.requested",
        "directive.approved",
        "directive.rejected",
        "directive.running",
        "effect.sending",
        "effect.performed",
        "effect.recorded",
        "directive.postponed",
        "directive.succeeded",
        "directive.failed",
        "directive.canceled",
        "directive.outcome_unknown",
        "directive.resolved",
        "organization.created",
        "organization.schema_made",
        "organization.activated",
        "migration.tenant_migrated",
    }
)

_armed: dict[str, int] = {}


def arm(spec: str) -> None:
    """Read `name` or `name:count`; several are separated by commas. Raises ValueError for an unknown name."""
    _armed.clear()
    for item in filter(None, spec.split(",")):
        name, _, count = item.partition(":")
        if name not in POINTS:
            raise ValueError(f"unknown fault point {name!r}")
        _armed[name] = int(count or 1)


def reach(name: str) -> None:
    """Die here if a test asked for it."""
    assert name in POINTS, name
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("FLEETPROMPT_FAULT", ""))
