"""One guarded way to change a state: legal by the table, true in the database, with its fault point."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import update

from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import (
    Agent,
    Directive,
    Effect,
    Execution,
    Installation,
    Workflow,
    WorkflowRun,
    WorkflowStep,
)
from fleetprompt.model.states import check_move, fault_point
from fleetprompt.tenancy import TenantSession

Row = Agent | Directive | Effect | Execution | Installation | Workflow | WorkflowRun | WorkflowStep
MACHINE_OF: dict[type[Any], str] = {
    Agent: "agent",
    Directive: "directive",
    Effect: "effect",
    Execution: "execution",
    Installation: "installation",
    Workflow: "workflow",
    WorkflowRun: "workflow_run",
    WorkflowStep: "workflow_step",
}


async def move(session: TenantSession, row: Row, target: str, **values: Any) -> None:
    """Move a row from the state it was read in to `target`, with other columns changed along.

    Raises Conflict for an illegal move, and when somebody else moved the row meanwhile.
    """
    machine, source, table = MACHINE_OF[type(row)], row.state, type(row)
    check_move(machine, source, target)
    statement = (
        update(table)
        .where(table.id == row.id, table.state == source)
        .values(state=target, **values)
        .returning(table)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if (await session.scalars(statement)).one_or_none() is None:
        said = machine.replace("_", " ")
        raise Conflict(f"This {said} is no longer {source}.", "Look at it again.")
    session.moves.append((machine, source, target))
    faults.reach(fault_point(machine, source, target))


def id_text(value: UUID | None) -> str | None:
    """A UUID as JSON holds it."""
    return None if value is None else str(value)
