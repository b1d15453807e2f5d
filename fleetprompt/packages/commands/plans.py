"""Plans: proposed with a code, confirmed once by whoever asked for them, as long as nothing has changed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import false, func, or_, select

from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.json import clean
from fleetprompt.model import Plan
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.drafts import Draft, Wish
from fleetprompt.packages.commands.verbs import ALPHABET
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

faults.declare(["plan.proposed", "plan.confirmed"])
CARRY: Final = "plan.carry"
LASTS: Final = timedelta(minutes=10)
CODE_LENGTH: Final = 4
NAMES: Final = {
    "package.plan.proposed": "Somebody was shown what a change of packages would do.",
    "package.plan.confirmed": "Whoever asked for a plan confirmed it.",
    "package.plan.voided": "A plan was changed by what happened since, and is void.",
    "package.plan.completed": "A confirmed plan is done.",
    "package.plan.failed": "A confirmed plan could not be carried out to its end.",
}
ENDING: Final = "Nothing has happened yet. To go ahead, answer within ten minutes:\n`confirm {code}`"


async def propose(
    session: TenantSession,
    registry: Registry,
    asked: Asked,
    by: Actor,
    user_id: UUID,
    wish: Wish,
    draft: Draft,
) -> Plan:
    """A new plan; for a request that has one already, that one."""
    known = await of_request(session, asked.key)
    if known is not None:
        return known
    code = await _new_code(session)
    plan = _row(asked, user_id, wish, draft, code, "\n".join(_shown(draft, code)))
    session.add(plan)
    await session.flush()
    await tell(session, registry, plan, "package.plan.proposed", by)
    faults.reach("plan.proposed")
    return plan


async def begin(
    session: TenantSession,
    registry: Registry,
    asked: Asked,
    by: Actor,
    user_id: UUID,
    wish: Wish,
    draft: Draft,
) -> Plan:
    """What needs no consent is carried out at once."""
    known = await of_request(session, asked.key)
    if known is not None:
        return known
    plan = _row(asked, user_id, wish, draft, await _new_code(session), draft.title)
    session.add(plan)
    await session.flush()
    await confirm(session, registry, plan, asked, by)
    return plan


async def confirm(session: TenantSession, registry: Registry, plan: Plan, asked: Asked, by: Actor) -> None:
    """From here on it is carried out, whatever happens to us. The plan is locked by the caller, and open."""
    plan.confirmed_at, plan.confirm_key = func.now(), asked.key  # by the clock that dates directives too
    plan.door = asked.door()
    await session.flush()
    await session.refresh(plan, ["confirmed_at"])
    await tell(session, registry, plan, "package.plan.confirmed", by)
    await carry_on(session, plan)
    faults.reach("plan.confirmed")


async def void(session: TenantSession, registry: Registry, plan: Plan, by: Actor) -> None:
    """It is no longer what would happen."""
    plan.voided_at = clock.now()
    await session.flush()
    await tell(session, registry, plan, "package.plan.voided", by)


async def carry_on(session: TenantSession, plan: Plan) -> None:
    """Look what is to be done for it now."""
    job = NewJob(CARRY, {"plan_id": str(plan.id)}, lane=f"carry:{plan.id}", correlation_id=plan.id)
    await enqueue(session, job)


async def locked(session: TenantSession, plan_id: UUID) -> Plan | None:
    """The plan, held until the end of the transaction."""
    query = select(Plan).where(Plan.id == plan_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def of_request(session: TenantSession, key: str) -> Plan | None:
    """What this very request made, if it was seen before."""
    return await session.scalar(select(Plan).where(Plan.key == key))


async def find_plan(session: TenantSession, code: str) -> Plan | None:
    """The newest of this code; codes are short, and come again after years."""
    query = select(Plan).where(Plan.code == normal(code)).order_by(Plan.created_at.desc()).limit(1)
    return await session.scalar(query)


async def open_codes(session: TenantSession, user_id: UUID) -> Sequence[str]:
    """What this person could confirm now."""
    query = select(Plan.code).where(
        Plan.user_id == user_id,
        Plan.confirmed_at.is_(None),
        Plan.voided_at.is_(None),
        Plan.expires_at > func.now(),
    )
    return list(await session.scalars(query.order_by(Plan.created_at.desc()).limit(3)))


async def under_way(
    session: TenantSession, *, directive_id: UUID | None = None, installation_id: UUID | None = None
) -> Sequence[Plan]:
    """Confirmed plans that wait for this directive or installation."""
    ids = ((Plan.directive_id, directive_id), (Plan.installation_id, installation_id))
    chosen = [column == wanted for column, wanted in ids if wanted is not None]
    query = select(Plan).where(
        or_(false(), *chosen), Plan.confirmed_at.is_not(None), Plan.finished_at.is_(None)
    )
    return list(await session.scalars(query.order_by(Plan.id)))


def normal(code: str) -> str:
    """`p7f3k` -> `P-7F3K`."""
    bare = code.upper().replace("-", "")
    return f"P-{bare[1:]}"


async def tell(session: TenantSession, registry: Registry, plan: Plan, name: str, by: Actor) -> None:
    """A fact about a plan, once."""
    payload = {
        "plan_id": str(plan.id),
        "code": plan.code,
        "verb": plan.wish["verb"],
        "package": plan.wish["package"],
        "user_id": str(plan.user_id),
        "error": plan.error,
    }
    correlation = plan.door.get("correlation_id")
    new = NewSignal(
        name,
        payload,
        by,
        dedupe_key=f"{name}:{plan.id}",
        correlation_id=UUID(correlation) if correlation else plan.id,
        installation_id=plan.installation_id,
    )
    await emit(session, registry, new)


def _row(asked: Asked, user_id: UUID, wish: Wish, draft: Draft, code: str, text: str) -> Plan:
    return Plan(
        id=new_id(),
        key=asked.key,
        code=code,
        user_id=user_id,
        door=asked.door(),
        wish=clean(dict(wish)),
        steps={"list": clean(list(draft.steps))},
        digest=draft.digest,
        text=text,
        step=0,
        shown="",
        revision=0,
        expires_at=clock.now() + LASTS,
    )


def _shown(draft: Draft, code: str) -> list[str]:
    return [f"**Plan {code}: {draft.title}**", *draft.lines, "", ENDING.format(code=code)]


async def _new_code(session: TenantSession) -> str:
    """None that somebody could confirm now has it; whoever guesses one finds another person's plan."""
    while True:
        code = "P-" + "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        taken = select(Plan.id).where(Plan.code == code, Plan.expires_at > func.now() - LASTS)
        if await session.scalar(taken.limit(1)) is None:
            return code
