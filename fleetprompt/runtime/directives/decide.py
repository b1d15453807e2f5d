"""What a person does with a directive: edit, approve, reject, cancel, retry, resolve. Each leaves a signal with their name.

A user of ours needs the right (`approver`), else each raises NotAllowed; the operator of the machine has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.directives.approver import require_decider
from fleetprompt.runtime.directives.request import digest, enqueue_run, validated
from fleetprompt.runtime.directives.tell import tell
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession

faults.declare(["directive.edited"])


async def edit(
    session: TenantSession,
    registry: Registry,
    directive_id: DirectiveId,
    by: Actor,
    changes: Mapping[str, Any],
) -> Directive:
    """Change what waits for approval; whoever approves it from now on approves the new arguments.

    Raises Conflict if it does not wait, or these arguments are not to be changed; InvalidInput for values it does not take.
    """
    directive = await _find(session, directive_id, by)
    _require(directive, DirectiveState.AWAITING_APPROVAL, "waits for approval")
    kind = registry.directives.get(directive.name)
    fixed = sorted(set(changes) - (kind.editable if kind is not None else frozenset()))
    if fixed:
        raise Conflict(f"The {', '.join(fixed)} of {directive.name} cannot be changed.", "Reject it instead.")
    arguments = validated(registry, directive.name, {**directive.arguments, **changes})
    before, after = directive.arguments_digest, digest(arguments)
    if before != after:
        directive.arguments, directive.arguments_digest = arguments, after
        await session.flush()
        told = {"changed": sorted(changes), "digest_before": before, "digest": after}
        await tell(session, registry, directive, "directive.edited", by, **told)
        faults.reach("directive.edited")
    return directive


async def approve(
    session: TenantSession, registry: Registry, directive_id: DirectiveId, by: Actor
) -> Directive:
    """Let it go ahead with exactly these arguments, once. Raises Conflict if it does not wait, or waited too long."""
    directive = await _find(session, directive_id, by)
    _require(directive, DirectiveState.AWAITING_APPROVAL, "waits for approval")
    if directive.approval_expires_at is not None and directive.approval_expires_at < clock.now():
        raise Conflict("The time to approve this directive is over.", "Ask the agent again.")
    approval = {"approved_by": f"{by.kind}:{by.id}", "approved_digest": directive.arguments_digest}
    await move(session, directive, DirectiveState.REQUESTED, **approval)
    await tell(session, registry, directive, "directive.approved", by, digest=directive.arguments_digest)
    await enqueue_run(session, directive)
    return directive


async def reject(
    session: TenantSession, registry: Registry, directive_id: DirectiveId, by: Actor, reason: str
) -> Directive:
    """Refuse it for good. Raises Conflict if it does not wait."""
    directive = await _find(session, directive_id, by)
    _require(directive, DirectiveState.AWAITING_APPROVAL, "waits for approval")
    await tell(session, registry, directive, "directive.rejected", by, reason=reason)
    await end.withdraw(session, registry, directive, "rejected", reason or "A person refused it.")
    return directive


async def cancel(
    session: TenantSession, registry: Registry, directive_id: DirectiveId, by: Actor
) -> Directive:
    """Withdraw what has not begun. Raises Conflict for one that runs or has ended."""
    directive = await _find(session, directive_id, by)
    if directive.state not in (DirectiveState.REQUESTED, DirectiveState.AWAITING_APPROVAL):
        raise Conflict(
            f"This directive is {directive.state}.", "Only one that has not begun can be canceled."
        )
    await tell(session, registry, directive, "directive.canceled", by)
    await end.withdraw(session, registry, directive, "canceled", "A person canceled it.")
    return directive


async def retry(
    session: TenantSession, registry: Registry, directive_id: DirectiveId, by: Actor
) -> Directive:
    """Give a failed one another round; parts that were sent stay sent. Raises Conflict if it has not failed."""
    directive = await _find(session, directive_id, by)
    _require(directive, DirectiveState.FAILED, "has failed")
    for effect in await end.effects_of(session, directive):
        if effect.state == EffectState.FAILED:
            await move(session, effect, EffectState.PLANNED)
    await move(session, directive, DirectiveState.REQUESTED, failures=0, finished_at=None)
    await tell(session, registry, directive, "directive.retried", by)
    await enqueue_run(session, directive)
    return directive


async def resolve(
    session: TenantSession, registry: Registry, directive_id: DirectiveId, by: Actor, *, sent: bool
) -> Directive:
    """Settle an unknown outcome by what a person saw: it is there, or it is not and shall be sent again."""
    directive = await _find(session, directive_id, by)
    _require(directive, DirectiveState.OUTCOME_UNKNOWN, "has an unknown outcome")
    await tell(session, registry, directive, "directive.resolved", by, sent=sent)
    for effect in await end.effects_of(session, directive):
        if effect.state == EffectState.UNKNOWN:
            await _settle(session, effect, sent)
    effects = await end.effects_of(session, directive)
    if any(effect.state != EffectState.SENT for effect in effects):
        await move(session, directive, DirectiveState.REQUESTED, error=None, error_code=None)
        await enqueue_run(session, directive)
    else:
        await end.succeed(session, registry, directive, effects)
    return directive


async def expire(session: TenantSession, registry: Registry) -> int:
    """Withdraw those that waited too long for a person; returns how many."""
    overdue = select(Directive).where(
        Directive.state == DirectiveState.AWAITING_APPROVAL, Directive.approval_expires_at < func.now()
    )
    directives: Sequence[Directive] = list(await session.scalars(overdue.with_for_update(skip_locked=True)))
    for directive in directives:
        await tell(session, registry, directive, "directive.expired", SYSTEM)
        await end.withdraw(session, registry, directive, "expired", "Nobody approved it in time.")
    return len(directives)


async def _settle(session: TenantSession, effect: Effect, sent: bool) -> None:
    if sent:
        await move(session, effect, EffectState.SENT, receipt={"resolved": "sent"}, finished_at=func.now())
    else:
        await move(session, effect, EffectState.PLANNED, first_tried_at=None, tries=0)


async def _find(session: TenantSession, directive_id: UUID, by: Actor) -> Directive:
    await require_decider(session, by)
    directive = await end.lock(session, DirectiveId(directive_id))
    if directive is None:
        raise NotFound(
            f"There is no directive {directive_id} here.", "See: fleetprompt directives list --org ..."
        )
    return directive


def _require(directive: Directive, state: DirectiveState, claim: str) -> None:
    if directive.state != state:
        raise Conflict(f"This directive is {directive.state}.", f"This works for one that {claim}.")
