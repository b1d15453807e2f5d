"""A run as it stands in the database: what decides what comes next, and what its templates may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.model import Signal, Workflow, WorkflowRun, WorkflowStep, WorkflowVersion
from fleetprompt.model.states import WorkflowStepState
from fleetprompt.runtime.moves import id_text
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.workflows.definition import Definition, Step
from fleetprompt.runtime.workflows.templates import Context
from fleetprompt.tenancy import TenantSession


@dataclass(slots=True)
class Run:
    """A run with the definition by which it goes and its steps, in order."""

    row: WorkflowRun
    workflow: Workflow
    definition: Definition
    steps: list[WorkflowStep]

    @property
    def actor(self) -> Actor:
        """As whom it acts."""
        return actor_of(self.workflow)

    @property
    def context(self) -> Context:
        """What templates and conditions may read."""
        done = [step for step in self.steps if step.state == WorkflowStepState.SUCCEEDED]
        results = {step.name: {"result": step.result or {}} for step in done}
        return {"signal": self.row.signal, "steps": results}

    def spec(self, step: WorkflowStep) -> Step:
        """What the definition says of a step."""
        return self.definition.steps[step.index]

    def key(self, step: WorkflowStep) -> str:
        """The idempotency key of what a step asks for: the same at each repetition, another at each new round."""
        return f"{KEY}{self.row.id}:{step.index}" + (f":{step.round}" if step.round else "")


KEY = "workflow:"
"""How the keys of directives and executions begin that a run asks for."""


def actor_of(workflow: Workflow) -> Actor:
    """Never anonymous: the workflow by its name."""
    return Actor("system", f"workflow:{workflow.id}", workflow.name)


async def load(session: TenantSession, run_id: UUID) -> Run | None:
    """The run, held until the end of the transaction with its steps: whoever ends one of them meanwhile waits."""
    held = select(WorkflowRun).where(WorkflowRun.id == run_id).with_for_update()
    row = await session.scalar(held.execution_options(populate_existing=True))
    if row is None:
        return None
    workflow = await session.get_one(Workflow, row.workflow_id)
    version = await session.get_one(WorkflowVersion, (row.workflow_id, row.version))
    steps = select(WorkflowStep).where(WorkflowStep.run_id == run_id).order_by(WorkflowStep.index)
    found = await session.scalars(steps.with_for_update().execution_options(populate_existing=True))
    return Run(row, workflow, Definition.model_validate(version.definition), list(found))


def snapshot(signal: Signal) -> dict[str, Any]:
    """What a run keeps of its signal, as templates see it."""
    return {
        "id": str(signal.id),
        "name": signal.name,
        "occurred_at": signal.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "actor_kind": signal.actor_kind,
        "actor_id": signal.actor_id,
        "actor_name": signal.actor_name,
        "installation_id": id_text(signal.installation_id),
        "conversation_id": id_text(signal.conversation_id),
        "correlation_id": str(signal.correlation_id),
        "payload": signal.payload,
    }
