"""Every state machine as a table of legal moves.

Guarded three times: `check_move` here, `WHERE state = :from` in each UPDATE, and a trigger in the database that
reads the same table (`public.legal_move`, seeded by the migrations; a test compares the two).

Each move has two fault points, declared below: `machine.from>to` (the row is changed, nothing is committed) and
`machine.from>to!` (committed).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict


class OrganizationState(StrEnum):
    """An organization's schema: being made, usable, waiting to be mended, at rest, or being removed with its row."""

    CREATING = "creating"
    ACTIVE = "active"
    FAILED = "failed"
    SUSPENDED = "suspended"
    DELETING = "deleting"


class AgentState(StrEnum):
    """Row 124: an agent's lifecycle."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class InstallationState(StrEnum):
    """Row 75."""

    REQUESTED = "requested"
    INSTALLING = "installing"
    NEEDS_CONFIG = "needs_config"
    INSTALLED = "installed"
    FAILED = "failed"
    DISABLED = "disabled"
    UPGRADING = "upgrading"
    UNINSTALLING = "uninstalling"
    UNINSTALLED = "uninstalled"


IN_FORCE: Final = (InstallationState.INSTALLED, InstallationState.UPGRADING)
"""It hears and speaks: while another version is tried, the one there goes on."""


class ExecutionState(StrEnum):
    """Row 117."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class DirectiveState(StrEnum):
    """Row 110."""

    REQUESTED = "requested"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    OUTCOME_UNKNOWN = "outcome_unknown"


class EffectState(StrEnum):
    """One call to the outside: one part of a directive."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


class WorkflowState(StrEnum):
    """Only an active one starts runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class WorkflowRunState(StrEnum):
    """As an execution's."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class WorkflowStepState(StrEnum):
    """One step of a run. What a run that ended early never came to stays pending."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"


class JobState(StrEnum):
    """A finished job is deleted: its outcome stands on the thing it worked for."""

    AVAILABLE = "available"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    DEAD = "dead"


def _moves(**table: str) -> dict[str, frozenset[str]]:
    return {source: frozenset(targets.split()) for source, targets in table.items()}


MACHINES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "organization": _moves(
        creating="active failed deleting",
        failed="creating deleting",
        active="suspended deleting",
        suspended="active deleting",
        deleting="",
    ),
    "agent": _moves(active="paused archived", paused="active archived", archived=""),
    "installation": _moves(
        requested="installing needs_config failed",
        installing="needs_config installed failed",
        needs_config="installing uninstalling",
        installed="disabled upgrading uninstalling",
        disabled="installed upgrading uninstalling",
        upgrading="installed disabled",
        failed="installing uninstalling",
        uninstalling="uninstalled failed",
        uninstalled="",
    ),
    "execution": _moves(
        queued="running failed canceled",
        running="waiting succeeded failed canceled",
        waiting="running failed canceled",
        failed="queued",
        succeeded="",
        canceled="",
    ),
    "directive": _moves(
        awaiting_approval="requested canceled",
        requested="running failed canceled",
        running="requested succeeded failed outcome_unknown",
        outcome_unknown="requested succeeded",
        failed="requested",
        succeeded="failed",  # a mail that came back
        canceled="",
    ),
    "effect": _moves(
        planned="sending",
        sending="planned sent failed unknown",
        unknown="planned sent",
        failed="planned",
        sent="failed",
    ),
    "workflow": _moves(active="paused archived", paused="active archived", archived=""),
    "workflow_run": _moves(
        queued="running failed canceled",
        running="waiting succeeded failed canceled",
        waiting="running failed canceled",
        failed="queued",
        succeeded="",
        canceled="",
    ),
    "workflow_step": _moves(
        pending="running skipped",
        running="waiting succeeded failed",
        waiting="succeeded failed",
        failed="pending waiting",
        succeeded="",
        skipped="",
    ),
    "job": _moves(
        available="dispatched running dead",
        dispatched="available running",
        running="available dead",
        dead="available",
    ),
}
"""machine -> state -> the states that may follow. Text, because the database and the command line speak text."""


def check_move(machine: str, source: str, target: str) -> None:
    """Raises Conflict when the table knows no such move."""
    if target not in MACHINES[machine].get(source, frozenset()):
        raise Conflict(f"A {machine.replace('_', ' ')} that is {source} cannot become {target}.")


def fault_point(machine: str, source: str, target: str, *, committed: bool = False) -> str:
    """The name of the place right after that move, before or after its commit."""
    return f"{machine}.{source}>{target}{'!' if committed else ''}"


def all_moves() -> list[tuple[str, str, str]]:
    """Every legal (machine, source, target)."""
    return [
        (m, s, t) for m, table in MACHINES.items() for s, targets in table.items() for t in sorted(targets)
    ]


faults.declare(fault_point(*move, committed=done) for move in all_moves() for done in (False, True))
