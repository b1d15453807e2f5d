"""The events that an operator can rely on, by name. Extra to the signals, never instead of them."""

from __future__ import annotations

from typing import Final

from fleetprompt.telemetry.logs import get_logger, safe_words

AUTH_LOGIN: Final = "fleetprompt.auth.login"
ORG_SELECT: Final = "fleetprompt.org.select"
INTEGRATION_WEBHOOK_RECEIVED: Final = "fleetprompt.integration.webhook.received"
INTEGRATION_WEBHOOK_PROCESSED: Final = "fleetprompt.integration.webhook.processed"
INTEGRATION_WEBHOOK_FAILED: Final = "fleetprompt.integration.webhook.failed"
LATER: Final = (
    INTEGRATION_WEBHOOK_RECEIVED,
    INTEGRATION_WEBHOOK_PROCESSED,
    INTEGRATION_WEBHOOK_FAILED,
)

PACKAGE_INSTALL_REQUESTED: Final = "fleetprompt.package.install.requested"
PACKAGE_INSTALL_STARTED: Final = "fleetprompt.package.install.started"
PACKAGE_INSTALL_COMPLETED: Final = "fleetprompt.package.install.completed"
PACKAGE_INSTALL_FAILED: Final = "fleetprompt.package.install.failed"
AGENT_EXECUTION_STARTED: Final = "fleetprompt.agent.execution.started"
AGENT_EXECUTION_WAITING: Final = "fleetprompt.agent.execution.waiting"
AGENT_EXECUTION_COMPLETED: Final = "fleetprompt.agent.execution.completed"
AGENT_EXECUTION_FAILED: Final = "fleetprompt.agent.execution.failed"
AGENT_EXECUTION_CANCELED: Final = "fleetprompt.agent.execution.canceled"
INTEGRATION_EVENT_RECEIVED: Final = "fleetprompt.integration.event.received"
INTEGRATION_EVENT_PROCESSED: Final = "fleetprompt.integration.event.processed"
INTEGRATION_EVENT_FAILED: Final = "fleetprompt.integration.event.failed"
RATE_LIMIT_HIT: Final = "fleetprompt.rate_limit.hit"

NAMES: Final = frozenset(
    value for key, value in list(globals().items()) if key.isupper() and isinstance(value, str)
)


def event(
    name: str,
    *,
    org: str | None = None,
    user: object = None,
    package: str | None = None,
    execution: object = None,
    provider: str | None = None,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Log one event of the catalogue. With an error it is a warning that names the error's class."""
    assert name in NAMES, f"not in the catalogue of events: {name}"
    given = {
        "org": org,
        "user": user,
        "package": package,
        "execution_id": execution,
        "provider": provider,
        **fields,
    }
    known = {key: value for key, value in given.items() if value is not None}
    log = get_logger("fleetprompt.events")
    if error is None:
        log.info(name, **known)
    else:
        words = safe_words(error)
        log.warning(name, error_class=type(error).__name__, **({"error": words} if words else {}), **known)
