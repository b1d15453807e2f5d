"""What became of a try, written down: `sent`, and the next part `sending`, or the directive's end, or another try later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import func

from fleetprompt.kernel import clock
from fleetprompt.kernel.json import clean
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.sending import Current, next_effect
from fleetprompt.runtime.directives.types import Delivered, Refused, RetryIn, Unclear
from fleetprompt.runtime.jobs.run import backoff_s
from fleetprompt.runtime.jobs.work import Postpone, Work
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import TenantSession

LOOK_UPS = 5  # with backoff about half a minute; then a person has to settle it
PATIENCE_S = 3600.0  # for a far side that cannot even be asked


async def record(
    registry: Registry, work: Work, current: Current, outcome: Delivered | RetryIn | Refused | Unclear
) -> Current | None:
    """Returns the next effect to send; None when nothing is left to do now. Raises Postpone to try again later."""
    match outcome:
        case Delivered(receipt):
            return await _record_sent(registry, work, current, clean(receipt))
        case RetryIn():
            await _record_retry(registry, work, current, outcome)
        case Refused(code, reason):
            await _record_refused(registry, work, current, code, reason)
        case Unclear():
            await _record_unclear(registry, work, current, outcome)
        case other:
            assert_never(other)
    return None


async def _record_sent(
    registry: Registry, work: Work, current: Current, receipt: dict[str, object]
) -> Current | None:
    async with work.finish() if current.last else work.step() as session:
        directive, effects = await _reread(session, current)
        sent = effects[current.attempt.part]
        await move(session, sent, EffectState.SENT, receipt=receipt, finished_at=func.now(), error=None)
        return await next_effect(session, registry, current.kind, directive, effects)


async def _record_retry(registry: Registry, work: Work, current: Current, outcome: RetryIn) -> None:
    async with work.step() as session:
        directive, effects = await _reread(session, current)
        effect = effects[current.attempt.part]
        failures = directive.failures + (0 if outcome.forgiven else 1)
        if failures > current.kind.max_failures:
            await move(session, effect, EffectState.FAILED, error=outcome.reason)
            await end.fail(session, registry, directive, outcome.code, outcome.reason)
            await work.conclude(session)
            return
        directive.failures, directive.error_code, directive.error = failures, outcome.code, outcome.reason
        await session.flush()
        if not current.repeated:
            await _plan_again(session, directive, effect, outcome.reason)
    wait_s = backoff_s(max(1, failures)) if outcome.seconds is None else outcome.seconds
    raise Postpone(wait_s, outcome.reason)


async def _plan_again(session: TenantSession, directive: Directive, effect: Effect, reason: str) -> None:
    """It certainly did not happen, so the next try need not look.

    After a doubtful try it stays `sending` instead: that one may still be in flight, and a look-up that found nothing
    proves it for its moment only.
    """
    await move(session, effect, EffectState.PLANNED, error=reason, tries=0)
    await move(session, directive, DirectiveState.REQUESTED)


async def _record_refused(registry: Registry, work: Work, current: Current, code: str, reason: str) -> None:
    async with work.finish() as session:
        directive, effects = await _reread(session, current)
        effect = effects[current.attempt.part]
        await move(session, effect, EffectState.FAILED, error=reason)
        await end.fail(session, registry, directive, code, reason)


async def _record_unclear(registry: Registry, work: Work, current: Current, outcome: Unclear) -> None:
    """Stay `sending`, so that the next try looks first; in the end a person has to settle it."""
    async with work.step() as session:
        directive, effects = await _reread(session, current)
        effect = effects[current.attempt.part]
        effect.error = outcome.reason
        if not outcome.unreachable:  # an outage is waited out, it uses up no look
            effect.tries += 1
        await session.flush()
        if _given_up(effect, outcome):
            await end.leave_unknown(session, registry, directive, outcome.reason)
            await work.conclude(session)
            return
        wait_s = min(30.0, backoff_s(effect.tries + 1))
    raise Postpone(wait_s, outcome.reason)


def _given_up(effect: Effect, outcome: Unclear) -> bool:
    assert effect.first_tried_at is not None
    if outcome.unreachable:
        return (clock.now() - effect.first_tried_at).total_seconds() > PATIENCE_S
    return effect.tries > LOOK_UPS  # they count from the last moment that was certain


async def _reread(session: TenantSession, current: Current) -> tuple[Directive, Sequence[Effect]]:
    directive = await end.lock(session, current.directive_id)
    assert directive is not None
    return directive, await end.effects_of(session, directive)
