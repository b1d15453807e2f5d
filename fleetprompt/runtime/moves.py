"""One guarded way to change a state: legal by the table, true in the database, with its fault point."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ClauseElement, Function, update

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
from fleetprompt.tenancy.rows import Rows, written

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
    machine, source = MACHINE_OF[type(row)], row.state
    check_move(machine, source, target)
    if await _moved(session, row, target, values) is None:
        said = machine.replace("_", " ")
        raise Conflict(f"This {said} is no longer {source}.", "Look at it again.")
    session.moves.append((machine, source, target))
    faults.reach(fault_point(machine, source, target))


async def _moved(session: TenantSession, row: Row, target: str, values: Mapping[str, Any]) -> Row | None:
    table = type(row)
    given = {name: value for name, value in values.items() if not isinstance(value, ClauseElement)}
    told = {name: _told(value) for name, value in values.items() if name not in given}
    if None in told.values():
        return await _computed(session, row, target, values)
    statement = _update(table, (*given,), (*told.items(),))
    known = {"row_id": row.id, "from_state": row.state, "to_state": target, **written(table, given)}
    moved: Any = await statement.first(session, known)
    return cast("Row | None", moved)


def _told(value: ClauseElement) -> str | None:
    """The SQL of what the database itself has a value for, such as now(); None for what is worked out from ours."""
    is_plain = isinstance(value, Function) and not value.clauses.clauses
    return f"{value.name}()" if is_plain else None  # type: ignore[attr-defined]


async def _computed(session: TenantSession, row: Row, target: str, values: Mapping[str, Any]) -> Row | None:
    table = type(row)
    statement = (
        update(table)
        .where(table.id == row.id, table.state == row.state)
        .values(state=target, **values)
        .returning(table)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    moved = (await session.scalars(statement)).one_or_none()
    return cast("Row | None", moved)


@cache
def _update(table: type[Any], given: tuple[str, ...], told: tuple[tuple[str, str | None], ...]) -> Rows[Any]:
    """told: columns, each with its SQL."""
    sets = ", ".join(
        [*(f'"{name}" = :{name}' for name in given), *(f'"{name}" = {sql}' for name, sql in told)]
    )
    words = f"update {table.__tablename__} set state = :to_state{', ' if sets else ''}{sets}"  # noqa: S608 - names of the model
    return Rows(table, f"{words} where id = :row_id and state = :from_state returning {{columns}}")


def id_text(value: UUID | None) -> str | None:
    """A UUID as JSON holds it."""
    return None if value is None else str(value)
