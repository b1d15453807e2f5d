"""What telemetry tells of a connection: what came in, what became of it, whose limit held something back. No words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.contract import Inbound
from fleetprompt.connectors.ingest import Source
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.signals import Emitted
from fleetprompt.telemetry.events import (
    INTEGRATION_EVENT_FAILED,
    INTEGRATION_EVENT_PROCESSED,
    INTEGRATION_EVENT_RECEIVED,
    RATE_LIMIT_HIT,
    event,
)
from fleetprompt.telemetry.metrics import MESSAGES_RECEIVED, MESSAGES_SENT, RATE_LIMIT_HITS


def received(source: Source, batch: Sequence[Inbound]) -> None:
    """Events were read from the wire; nothing is stored yet."""
    event(INTEGRATION_EVENT_RECEIVED, **_of(source), events=len(batch))


def stored(source: Source, emitted: Sequence[Emitted]) -> None:
    """They are facts now; repeated ones were before."""
    fresh = sum(signal.fresh for signal in emitted)
    repeated = len(emitted) - fresh
    MESSAGES_RECEIVED.labels(source.tenant, source.package, "stored").inc(fresh)
    MESSAGES_RECEIVED.labels(source.tenant, source.package, "repeated").inc(repeated)
    event(INTEGRATION_EVENT_PROCESSED, **_of(source), events=fresh, repeated=repeated)


def unreadable(source: Source, fault: Exception) -> None:
    """One was set aside."""
    MESSAGES_RECEIVED.labels(source.tenant, source.package, "unreadable").inc()
    event(INTEGRATION_EVENT_FAILED, **_of(source), error=fault)


def limited(tenant: TenantSlug, package: str, limit: str) -> None:
    """A call was held back by a limit: `own` or `theirs`."""
    RATE_LIMIT_HITS.labels(tenant, package, limit).inc()
    event(RATE_LIMIT_HIT, org=tenant, package=package, provider=package, limit=limit)


def sent(tenant: TenantSlug, package: str, outcome: str) -> None:
    """One try to send ended: `delivered`, `found`, or the code of its error."""
    MESSAGES_SENT.labels(tenant, package, outcome).inc()


def _of(source: Source) -> dict[str, Any]:
    return {
        "org": source.tenant,
        "package": source.package,
        "provider": source.package,
        "installation_id": str(source.installation_id),
    }
