"""The runtime's own entries in the registry. Connectors add theirs afterwards."""

from __future__ import annotations

from typing import Any

from fleetprompt.runtime import people, retention
from fleetprompt.runtime.agents import answer
from fleetprompt.runtime.directives import register as directives
from fleetprompt.runtime.executions import register as executions
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.llm import ModelBoundary
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.runtime.signals.handle import handle_kind
from fleetprompt.runtime.signals.retention import DAILY, retention_days, retention_kind
from fleetprompt.runtime.workflows import register as workflows
from fleetprompt.settings import Settings

CHAT = {
    "chat.message.received": "Somebody wrote a message.",
    "chat.message.edited": "Somebody changed a message.",
    "chat.message.deleted": "Somebody removed a message.",
    "chat.message.sent": "We posted a message.",
    "chat.channel.joined": "Our account was added to a channel.",
    "chat.channel.left": "Our account was removed from a channel.",
}
LIFECYCLE = {
    "signals.replayed": "A person had signals handled again.",
    "job.died": "A job was given up after its last attempt.",
    "agent.created": "An agent was made.",
    "agent.configured": "An agent was changed.",
    "agent.paused": "An agent was paused.",
    "agent.resumed": "An agent was resumed.",
    "agent.archived": "An agent was retired.",
}


def register_runtime(registry: Registry, models: ModelBoundary, settings: Settings) -> None:
    """Signals, jobs and handlers that every process knows."""
    for name, about in CHAT.items():
        registry.add_signal(name, about)
    for name, about in LIFECYCLE.items():
        registry.add_signal(name, about, retention="lifecycle")
    people.register(registry)
    registry.add_job(handle_kind(registry))
    registry.add_job(retention_kind(retention_days(settings.signal_retention_days)))
    registry.add_recurring(DAILY)
    registry.add_job(retention.retention_kind(settings.signal_retention_days))
    registry.add_recurring(retention.DAILY)
    registry.add_job(_death_kind(registry))
    directives.register(registry)
    executions.register(registry, models)
    answer.register(registry)
    workflows.register(registry)


def _death_kind(registry: Registry) -> JobKind:
    """A dead letter is a fact, and whoever waited for the job is told."""

    async def notify(work: Work) -> None:
        args: dict[str, Any] = work.args
        async with work.step() as session:
            payload = {"job_id": args["job_id"], "kind": args["kind"], "error": args.get("error")}
            key = f"job.died:{args['job_id']}:{work.fence.job_id}"
            await emit(session, registry, NewSignal("job.died", payload, SYSTEM, dedupe_key=key))
        kind = registry.jobs.get(args["kind"])
        if kind is not None and kind.died is not None:
            await kind.died(work, args["args"], args.get("error") or "unknown")

    return JobKind("job.died", notify)
