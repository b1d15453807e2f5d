"""A directive begins: it runs now, and its effects are planned, each with its own key."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func

from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.types import DirectiveType
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import insert


async def start(session: TenantSession, kind: DirectiveType, directive: Directive) -> Sequence[Effect]:
    """Running now; its effects, planned at the first attempt and the same ever after."""
    started, is_first = directive.started_at or func.now(), directive.attempt == 0
    await move(
        session,
        directive,
        DirectiveState.RUNNING,
        attempt=directive.attempt + 1,
        started_at=started,
        error=None,
    )
    if not is_first and (effects := await end.effects_of(session, directive)):
        return effects
    requests = await kind.effector.plan(session, directive)
    rows = [
        {
            "id": new_id(),
            "directive_id": directive.id,
            "part": part,
            "key": f"{directive.id}.{part}",
            "state": EffectState.PLANNED,
            "request": request,
        }
        for part, request in enumerate(requests)
    ]
    planned = [await insert(session, Effect, row) for row in rows]
    return [effect for effect in planned if effect is not None]
