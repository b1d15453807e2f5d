"""Logs, metrics and spans. What happened, for which organization, why, at what cost; never a body, never a secret."""

from fleetprompt.telemetry import events, metrics
from fleetprompt.telemetry.events import event
from fleetprompt.telemetry.logs import bound, configure_logging, get_logger
from fleetprompt.telemetry.spans import configure_tracing, shutdown_tracing, span

__all__ = [
    "bound",
    "configure_logging",
    "configure_tracing",
    "event",
    "events",
    "get_logger",
    "metrics",
    "shutdown_tracing",
    "span",
]
