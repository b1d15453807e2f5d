"""Handlers of signals run as jobs: what a handler does and the end of its job are one transaction."""

from __future__ import annotations

from uuid import UUID

from fleetprompt.model import Signal
from fleetprompt.runtime.jobs.work import Postpone, Work
from fleetprompt.runtime.registry import JobKind, Registry

UNKNOWN_HANDLER_WAIT_S = 30.0  # a rolling deploy: a newer worker will know it


def handle_kind(registry: Registry) -> JobKind:
    """The kind of job that `emit` enqueues."""

    async def handle(work: Work) -> None:
        async with work.finish() as session:
            signal = await session.get(Signal, UUID(work.args["signal_id"]))
            if signal is None:
                return  # its retention ended first
            handler = registry.find_handler(signal.name, work.args["handler"])
            if handler is None:
                raise Postpone(UNKNOWN_HANDLER_WAIT_S, f"no handler {work.args['handler']!r} here")
            await handler.run(session, signal)

    return JobKind("signal.handle", handle)
