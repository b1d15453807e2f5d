"""Workflows' entries in the registry: their signals, their handler, their job, and the hooks that wake their runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fleetprompt.model import Signal
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import OWN_SIGNALS, Handler, JobKind, Registry
from fleetprompt.runtime.workflows.end import bury
from fleetprompt.runtime.workflows.run import run_workflow
from fleetprompt.runtime.workflows.start import start_runs
from fleetprompt.runtime.workflows.tell import NAMES
from fleetprompt.runtime.workflows.wake import on_finished, on_settled
from fleetprompt.tenancy import TenantSession

NAME = "workflows.start"


def register(registry: Registry) -> None:
    """Called once by the runtime's own registration."""
    for name, about in NAMES.items():
        registry.add_signal(name, about, retention="lifecycle")
    registry.add_signal(OWN_SIGNALS, "A fact that the organization named itself.")

    async def start(session: TenantSession, signal: Signal) -> None:
        await start_runs(session, registry, signal)

    async def run(work: Work) -> None:
        await run_workflow(registry, work, UUID(work.args["run_id"]))

    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        await bury(registry, work, UUID(args["run_id"]), error)

    registry.subscribers.append(Handler(NAME, start))
    registry.add_job(JobKind("workflow.run", run, died))
    registry.settled.append(on_settled)
    registry.finished.append(on_finished)
