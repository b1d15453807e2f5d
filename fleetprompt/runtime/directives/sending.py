"""Which effect of a directive is `sending` now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import EffectState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.types import DirectiveType, EffectTry, LooksAhead
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class Current:
    """The effect that is `sending` now. repeated: it was so already, so look first."""

    kind: DirectiveType
    directive_id: DirectiveId
    attempt: EffectTry
    repeated: bool
    last: bool


async def next_effect(
    session: TenantSession,
    registry: Registry,
    kind: DirectiveType,
    directive: Directive,
    effects: Sequence[Effect],
) -> Current | None:
    """The first effect that is not sent, now `sending`; None when all are, and the directive has succeeded."""
    effect = next((e for e in effects if e.state != EffectState.SENT), None)
    if effect is None:
        await end.succeed(session, registry, directive, effects)
        return None
    repeated = effect.state == EffectState.SENDING
    if not repeated:
        tried = effect.first_tried_at or func.now()
        await move(session, effect, EffectState.SENDING, tries=effect.tries + 1, first_tried_at=tried)
    last, attempt = effect.part == effects[-1].part, _as_try(session, directive, effect)
    if not repeated and isinstance(kind.effector, LooksAhead):
        attempt = replace(attempt, ahead=await kind.effector.look_ahead(session, directive))
    return Current(kind, DirectiveId(directive.id), attempt, repeated, last)


def _as_try(session: TenantSession, directive: Directive, effect: Effect) -> EffectTry:
    assert effect.first_tried_at is not None
    return EffectTry(
        session.tenant,
        directive.id,
        directive.installation_id,
        effect.part,
        effect.key,
        effect.request,
        effect.tries,
        int(effect.first_tried_at.timestamp() * 1000),
        directive.failures,
    )
