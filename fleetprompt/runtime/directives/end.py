"""How a directive ends, in the caller's transaction: its state, its signal, and those who wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives.tell import signal_of, tell
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals.emit import emit_many
from fleetprompt.telemetry import metrics
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import Rows

_LOCK = Rows(Directive, "select {columns} from directives where id = :id for update")
_EFFECTS = Rows(Effect, "select {columns} from effects where directive_id = :directive_id order by part")


async def succeed(
    session: TenantSession, registry: Registry, directive: Directive, effects: Sequence[Effect]
) -> None:
    """All its effects are sent."""
    receipts = [effect.receipt or {} for effect in effects]
    result = {"receipts": receipts}
    await move(
        session, directive, DirectiveState.SUCCEEDED, result=result, error=None, finished_at=func.now()
    )
    kind = registry.directives.get(directive.name)
    more = None if kind is None else await kind.delivered(session, directive, receipts)
    told = signal_of(directive, "directive.succeeded", attempt=directive.attempt)
    await emit_many(session, registry, [*(more or ()), told])
    await _settled(session, registry, directive)


async def fail(
    session: TenantSession, registry: Registry, directive: Directive, code: str, reason: str
) -> None:
    """It will not happen, unless a person retries it."""
    await move(
        session, directive, DirectiveState.FAILED, error_code=code, error=reason, finished_at=func.now()
    )
    await tell(session, registry, directive, "directive.failed", error_code=code, error=reason)
    await _settled(session, registry, directive)


async def come_back(
    session: TenantSession, registry: Registry, directive: Directive, code: str, reason: str
) -> None:
    """It had left, and did not arrive: failed after all. Who waited for it has gone on; a person may retry it."""
    for effect in await effects_of(session, directive):
        if effect.state == EffectState.SENT:
            await move(session, effect, EffectState.FAILED, error=reason)
    await move(session, directive, DirectiveState.FAILED, error_code=code, error=reason)
    await tell(session, registry, directive, "directive.failed", error_code=code, error=reason)


async def leave_unknown(
    session: TenantSession, registry: Registry, directive: Directive, reason: str
) -> None:
    """Parked, visible, until a person settles it."""
    for effect in await effects_of(session, directive):
        if effect.state == EffectState.SENDING:
            await move(session, effect, EffectState.UNKNOWN, error=reason)
    await move(session, directive, DirectiveState.OUTCOME_UNKNOWN, error_code="outcome_unknown", error=reason)
    await tell(session, registry, directive, "directive.outcome_unknown", error=reason)
    await _settled(session, registry, directive)


async def withdraw(
    session: TenantSession, registry: Registry, directive: Directive, code: str, reason: str
) -> None:
    """Canceled, rejected or expired: it never ran. The signal is the caller's."""
    await move(
        session, directive, DirectiveState.CANCELED, error_code=code, error=reason, finished_at=func.now()
    )
    await _settled(session, registry, directive)


async def effects_of(session: TenantSession, directive: Directive) -> list[Effect]:
    """Its effects, in order."""
    return await _EFFECTS.all(session, {"directive_id": directive.id})


async def lock(session: TenantSession, directive_id: DirectiveId) -> Directive | None:
    """The directive, held until the end of the transaction."""
    return await _LOCK.first(session, {"id": directive_id})


async def _settled(session: TenantSession, registry: Registry, directive: Directive) -> None:
    metrics.DIRECTIVES.labels(session.tenant, directive.name, directive.state).inc()
    for told in registry.settled:
        await told(session, directive)
