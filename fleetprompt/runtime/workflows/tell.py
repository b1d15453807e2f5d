"""The signals of workflows and of their runs."""

from __future__ import annotations

from typing import Any

from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.workflows.record import Run
from fleetprompt.tenancy import TenantSession

NAMES = {
    "workflow.added": "A workflow was made.",
    "workflow.changed": "A workflow has a new version.",
    "workflow.paused": "A workflow was paused.",
    "workflow.resumed": "A workflow was resumed.",
    "workflow.archived": "A workflow was retired.",
    "workflow.run.started": "A signal started a run of a workflow.",
    "workflow.run.succeeded": "A workflow's run did all its steps.",
    "workflow.run.failed": "A workflow's run ended at a step that failed.",
    "workflow.run.canceled": "A person ended a workflow's run.",
    "workflow.run.retried": "A person let a failed run go on.",
    "workflow.run.refused": "A workflow was not started: the organization's runs of this hour are used up.",
    "workflow.loop.stopped": "A workflow kept on starting itself; we stopped.",
}


async def tell(session: TenantSession, registry: Registry, run: Run, name: str, **more: Any) -> None:
    """Emit one about a run, beside the guarded move that it reports: the move happens once, so needs no dedupe key."""
    row = run.row
    payload = {
        "run_id": str(row.id),
        "workflow_id": str(run.workflow.id),
        "workflow": run.workflow.name,
        "version": row.version,
        **more,
    }
    new = NewSignal(
        name,
        payload,
        run.actor,
        correlation_id=row.correlation_id,
        causation_id=row.id,
        installation_id=row.installation_id,
        conversation_id=row.conversation_id,
    )
    await emit(session, registry, new)
