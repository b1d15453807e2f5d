"""Fault points: named places between two steps where a test lets the process die.

`FLEETPROMPT_FAULT=name` kills the process (SIGKILL, no clean-up) when it first reaches that place; `name:3` at the
third time; several are separated by commas. Disarmed, a fault point costs one look at an empty dictionary.

Places are declared once, here or (for the moves of the state machines) in `fleetprompt.model.states`, so that a
test can walk all of them and a misspelt name is an error.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

_POINTS: set[str] = {
    "ingest.before_commit",
    "ingest.committed",
    "ingest.acked",
    "job.claimed",
    "job.finished",
    "execution.model_called",
    "execution.recorded",
    "execution.tool_ran",
    "effect.recorded_sending",
    "effect.performed",
    "migration.tenant_migrated",
    "organization.row_made",
    "organization.schema_made",
    "organization.quiet",
    "organization.schema_dropped",
    "organization.removed",
    "export.table_written",
    "restore.loaded",
    "move.tenant_loaded",
    "move.registry_loaded",
    "membership.written",
    "code.issued",
    "code.redeemed",
    "session.opened",
    "identity.written",
    "key.written",
}
_armed: dict[str, int] = {}


def declare(names: Iterable[str]) -> None:
    """Add places; done at import by the module that owns them."""
    _POINTS.update(names)


def points() -> frozenset[str]:
    """Every place there is."""
    return frozenset(_POINTS)


def arm(spec: str) -> None:
    """Read `name` or `name:count`, comma-separated. Raises ValueError for an unknown name."""
    _armed.clear()
    for item in filter(None, spec.split(",")):
        name, _, count = item.partition(":")
        if name not in _POINTS:
            raise ValueError(f"unknown fault point {name!r}")
        _armed[name] = int(count or 1)


def arm_from_environment() -> None:
    """Called once by a composition root, after all rooms are imported."""
    arm(os.environ.get("FLEETPROMPT_FAULT", ""))


def reach(name: str) -> None:
    """Die here if a test asked for it."""
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
