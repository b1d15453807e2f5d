"""The runner: `sending` is written before the call, and whoever finds `sending` looks before repeating.

    begin     requested -> running, the effects planned, the first of them `sending`        (one commit)
    perform   the call, outside any transaction
    record    `sent`, and the next part `sending` or the directive's end                    (one commit)

A death anywhere leaves either `requested` (nothing was tried), or `sending` (look it up), or `sent` (go on).
"""

from __future__ import annotations

from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.plan import start
from fleetprompt.runtime.directives.record import record
from fleetprompt.runtime.directives.request import digest
from fleetprompt.runtime.directives.sending import Current, next_effect
from fleetprompt.runtime.directives.types import (
    Absent,
    Delivered,
    Refused,
    RetryIn,
    Unclear,
)
from fleetprompt.runtime.jobs.work import Begun, Work, unknown_here
from fleetprompt.runtime.registry import Registry
from fleetprompt.telemetry import span
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get


async def run_directive(registry: Registry, work: Work, directive_id: DirectiveId) -> None:
    """Carry it out as far as it goes now; raises Postpone to go on later."""
    await _carry_out(registry, work, await _begin(registry, work, directive_id))


async def begin_directive(
    registry: Registry, work: Work, session: TenantSession, directive_id: DirectiveId
) -> Begun | None:
    """The first transaction of a directive inside the one that asked for it; None where it cannot begin: its run says why."""
    directive = await get(session, Directive, directive_id)
    assert directive is not None, "it was made just now"
    kind = registry.directives.get(directive.name)
    if kind is None or await _void(session, registry, directive) is not None:
        return None
    effects = await start(session, kind, directive)
    current = await next_effect(session, registry, kind, directive, effects)

    async def rest() -> None:
        await _carry_out(registry, work, current)

    return Begun(rest)


async def _carry_out(registry: Registry, work: Work, current: Current | None) -> None:
    while current is not None:
        faults.reach("effect.recorded_sending")
        with span(f"effect {current.kind.name}", org=work.tenant, effect_key=current.attempt.key):
            outcome = await _look_then_perform(current)
        faults.reach("effect.performed")
        current = await record(registry, work, current, outcome)


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
        effects = await start(session, kind, directive)
    else:
        effects = await end.effects_of(session, directive)
    return await next_effect(session, registry, kind, directive, effects)


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


async def _look_then_perform(current: Current) -> Delivered | RetryIn | Refused | Unclear:
    effector = current.kind.effector
    if current.repeated:
        found = await effector.look_up(current.attempt)
        if not isinstance(found, Absent):
            return Unclear(found.reason, unreachable=True) if isinstance(found, RetryIn) else found
    return await effector.perform(current.attempt)
