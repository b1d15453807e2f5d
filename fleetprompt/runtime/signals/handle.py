"""Handlers of signals run as jobs: what a handler does and the end of its job are one transaction."""

from __future__ import annotations

from uuid import UUID

from fleetprompt.model import Signal
from fleetprompt.runtime.jobs.work import Work, unknown_here
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.tenancy.rows import get


def handle_kind(registry: Registry) -> JobKind:
    """The kind of job that `emit` enqueues."""

    async def handle(work: Work) -> None:
        async with work.step() as session:
            signal = await get(session, Signal, UUID(work.args["signal_id"]))
            if signal is not None:  # its retention may have ended first
                handler = registry.find_handler(signal.name, work.args["handler"])
                if handler is None:
                    raise unknown_here(work, f"handler {work.args['handler']!r}")
                await handler.run(session, signal)
            await work.conclude(session)

    return JobKind("signal.handle", handle)
