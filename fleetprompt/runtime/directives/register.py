"""Directives' entries in the registry: their signals, their job, and the clock of approvals."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import approver, end
from fleetprompt.runtime.directives.decide import expire
from fleetprompt.runtime.directives.run import begin_directive, run_directive
from fleetprompt.runtime.directives.tell import NAMES
from fleetprompt.runtime.jobs.work import Begun, Work
from fleetprompt.runtime.registry import JobKind, Recurring, Registry
from fleetprompt.tenancy import TenantSession

EXPIRE = "directives.expire"


def register(registry: Registry) -> None:
    """Called once by the runtime's own registration."""
    for name, about in NAMES.items():
        registry.add_signal(name, about, retention="audit")

    async def run(work: Work) -> None:
        await run_directive(registry, work, DirectiveId(UUID(work.args["directive_id"])))

    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        await bury(registry, work, DirectiveId(UUID(args["directive_id"])), error)

    async def expire_all(work: Work) -> None:
        async with work.finish() as session:
            await expire(session, registry)

    registry.rechecks.append(approver.recheck)

    async def begin(work: Work, session: TenantSession) -> Begun | None:
        return await begin_directive(registry, work, session, DirectiveId(UUID(work.args["directive_id"])))

    registry.add_job(JobKind("directive.run", run, died, begin))
    registry.add_job(JobKind(EXPIRE, expire_all))
    registry.add_recurring(Recurring(EXPIRE, EXPIRE, "* * * * *"))


async def bury(registry: Registry, work: Work, directive_id: DirectiveId, error: str) -> None:
    """Its job is a dead letter: it has failed, or, if a call may have gone out, its outcome is unknown."""
    async with work.finish() as session:
        directive = await end.lock(session, directive_id)
        if directive is None or directive.state not in (DirectiveState.REQUESTED, DirectiveState.RUNNING):
            return
        sending = [e for e in await end.effects_of(session, directive) if e.state == EffectState.SENDING]
        if sending:
            await end.leave_unknown(session, registry, directive, f"Its job died: {error}")
        else:
            await end.fail(session, registry, directive, "job_died", f"Its job died: {error}")
