"""The runner: `sending` is written before the call, and whoever finds `sending` looks before repeating.

    begin     requested -> running, the effects planned, the first of them `sending`        (one commit)
    perform   the call, outside any transaction
    record    `sent`, and the next part `sending` or the directive's end                    (one commit)

A death anywhere leaves either `requested` (nothing was tried), or `sending` (look it up), or `sent` (go on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import DirectiveId, new_id
from fleetprompt.kernel.json import clean
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.request import digest
from fleetprompt.runtime.directives.types import (
    Absent,
    Delivered,
    DirectiveType,
    EffectTry,
    LooksAhead,
    Refused,
    RetryIn,
    Unclear,
)
from fleetprompt.runtime.jobs.run import backoff_s
from fleetprompt.runtime.jobs.work import Begun, Postpone, Work, unknown_here
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.telemetry import span
from fleetprompt.tenancy import TenantSession

LOOK_UPS = 5  # with backoff about half a minute; then a person has to settle it
PATIENCE_S = 3600.0  # for a far side that cannot even be asked


@dataclass(frozen=True, slots=True)
class Current:
    """The effect that is `sending` now. repeated: it was so already, so look first."""

    kind: DirectiveType
    directive_id: DirectiveId
    attempt: EffectTry
    repeated: bool
    last: bool


async def run_directive(registry: Registry, work: Work, directive_id: DirectiveId) -> None:
    """Carry it out as far as it goes now; raises Postpone to go on later."""
    await _carry_out(registry, work, await _begin(registry, work, directive_id))


async def begin_directive(
    registry: Registry, work: Work, session: TenantSession, directive_id: DirectiveId
) -> Begun | None:
    """The first transaction of a directive inside the one that asked for it."""
    directive = await session.get_one(Directive, directive_id)
    kind = registry.directives.get(directive.name)
    if kind is None:
        return None
    effects = await _start(session, kind, directive)
    current = await _next(session, registry, kind, directive, effects)

    async def rest() -> None:
        await _carry_out(registry, work, current)

    return Begun(rest)


async def _carry_out(registry: Registry, work: Work, current: Current | None) -> None:
    while current is not None:
        faults.reach("effect.recorded_sending")
        with span(f"effect {current.kind.name}", org=work.tenant, effect_key=current.attempt.key):
            outcome = await _look_then_perform(current)
        faults.reach("effect.performed")
        current = await _record(registry, work, current, outcome)


async def _begin(registry: Registry, work: Work, directive_id: DirectiveId) -> Current | None:
    async with work.step() as session:
        directive = await end.lock(session, directive_id)
        current = None if directive is None else await _take_up(session, registry, work, directive)
        if (
            current is None
        ):  # the job ends while the directive is held: a person may give it another round at once
            await work.conclude(session)
    return current


async def _take_up(
    session: TenantSession, registry: Registry, work: Work, directive: Directive
) -> Current | None:
    if directive.state not in (DirectiveState.REQUESTED, DirectiveState.RUNNING):
        return None
    kind = registry.directives.get(directive.name)
    if kind is None:
        raise unknown_here(work, f"directive {directive.name!r}")
    if directive.state == DirectiveState.REQUESTED:
        void = await _void(session, registry, directive)
        if void is not None:
            await end.fail(session, registry, directive, "approval_void", void)
            return None
        effects = await _start(session, kind, directive)
    else:
        effects = await end.effects_of(session, directive)
    return await _next(session, registry, kind, directive, effects)


async def _void(session: TenantSession, registry: Registry, directive: Directive) -> str | None:
    """Why what was allowed is allowed no longer; asked before the first try alone, since a begun one is finished.

    An approval binds the digest of the exact arguments, and expires.
    """
    if directive.attempt > 0:
        return None
    if directive.approval_reason is not None:
        if directive.approved_digest != digest(directive.arguments):
            return "The approval is for other arguments."
        if directive.approval_expires_at is not None and directive.approval_expires_at < clock.now():
            return "The approval has expired."
    for recheck in registry.rechecks:
        reason = await recheck(session, directive)
        if reason is not None:
            return reason
    return None


async def _start(session: TenantSession, kind: DirectiveType, directive: Directive) -> Sequence[Effect]:
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
    planned = await session.scalars(insert(Effect).returning(Effect, sort_by_parameter_order=True), rows)
    return planned.all()


async def _next(
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


async def _look_then_perform(current: Current) -> Delivered | RetryIn | Refused | Unclear:
    effector = current.kind.effector
    if current.repeated:
        found = await effector.look_up(current.attempt)
        if not isinstance(found, Absent):
            return Unclear(found.reason, unreachable=True) if isinstance(found, RetryIn) else found
    return await effector.perform(current.attempt)


async def _record(
    registry: Registry, work: Work, current: Current, outcome: Delivered | RetryIn | Refused | Unclear
) -> Current | None:
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
        return await _next(session, registry, current.kind, directive, effects)


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
