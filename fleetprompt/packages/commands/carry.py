"""Carrying a confirmed plan out, step by step, by the very handlers that the command line calls.

The job may die anywhere and runs again: a step is asked for once, because what was recorded for it is looked for first,
and a plan moves on in the transaction that sees that its step is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select

from fleetprompt.accounts import Role, require_member_here
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Directive, Installation, Plan
from fleetprompt.packages import lifecycle
from fleetprompt.packages.asking import Asked
from fleetprompt.packages.checking import accepted_config
from fleetprompt.packages.commands import plans
from fleetprompt.packages.commands.context import in_chat
from fleetprompt.packages.commands.follow import follow
from fleetprompt.packages.commands.progress import show
from fleetprompt.packages.house import House
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.people import as_actor
from fleetprompt.runtime.signals import Actor
from fleetprompt.runtime.signals.emit import SYSTEM

INSTALL: Final = "package.install"
faults.declare(["plan.step_asked"])


async def carry(house: House, work: Work) -> None:
    """Ask for the step that is due, then look how far it is."""
    plan_id = UUID(work.args["plan_id"])
    async with house.tenancy.session(work.tenant) as session:
        plan = await session.get(Plan, plan_id)
    if plan is None or plan.confirmed_at is None or plan.finished_at is not None:
        return
    if plan.installation_id is None:
        await _ask(house, work, plan)
    async with work.finish() as session:
        held = await plans.locked(session, plan_id)
        if held is not None and held.finished_at is None:
            await follow(house, session, held)


async def gave_up(house: House, work: Work, plan_id: UUID, error: str) -> None:
    """Its job died: the person who waits is told."""
    async with work.finish() as session:
        plan = await plans.locked(session, plan_id)
        if plan is not None and plan.finished_at is None:
            plan.error, plan.finished_at = error, func.now()
            await session.flush()
            await session.refresh(plan, ["finished_at"])
            await plans.tell(session, house.registry, plan, "package.plan.failed", SYSTEM)
            await show(session, house.registry, plan)


async def _ask(house: House, work: Work, plan: Plan) -> None:
    """Record the step's directive, unless it is recorded already; a step that cannot be asked for ends the plan."""
    step = plan.steps["list"][plan.step]
    try:
        async with house.tenancy.session(work.tenant) as session:
            actor = as_actor(await require_member_here(session, plan.user_id, Role.ADMIN))
        asked = await _recorded(house, work.tenant, plan, step) or (
            await _by_lifecycle(house, work.tenant, step, actor)
        )
    except FleetPromptError as error:
        async with work.step() as session:
            held = await plans.locked(session, plan.id)
            assert held is not None
            held.error = in_chat(error)
            await session.flush()
        return
    faults.reach("plan.step_asked")
    async with work.step() as session:
        held = await plans.locked(session, plan.id)
        assert held is not None
        held.installation_id, held.directive_id = asked.installation_id, asked.requested
        await session.flush()


async def _recorded(house: House, tenant: TenantSlug, plan: Plan, step: Mapping[str, Any]) -> Asked | None:
    """What this very step asked for before we died: a directive of this person since they confirmed.

    Not that of another plan of theirs, which may be for the same installation at the same moment.
    """
    of_others = select(Plan.directive_id).where(Plan.id != plan.id, Plan.directive_id.is_not(None))
    query = select(Directive).where(
        Directive.name.in_((f"package.{step['verb']}", INSTALL)),
        Directive.actor_id == f"user:{plan.user_id}",
        Directive.created_at >= plan.confirmed_at,
        Directive.arguments["package"].astext == step["package"],
        or_(
            Directive.name == INSTALL, Directive.id.not_in(of_others)
        ),  # waiting plans follow the newest install
    )
    async with house.tenancy.session(tenant) as session:
        found = await session.scalars(query.order_by(Directive.id.desc()))
        for directive in found:
            installation = await session.get(Installation, directive.installation_id)
            if installation is None or installation.name != step["name"]:
                continue
            if _asks_this(house, directive, installation, step):
                return Asked(installation.id, directive.id)  # type: ignore[arg-type]
    return None


def _asks_this(
    house: House, directive: Directive, installation: Installation, step: Mapping[str, Any]
) -> bool:
    """Whether a directive gives an installation the settings and scopes of this step."""
    given = directive.arguments
    lists = (("grant", step["scopes"]), ("revoke", step["revoked"]))
    if any(sorted(given.get(name, wanted)) != sorted(wanted) for name, wanted in lists):
        return False
    settings, there = step["settings"], given.get("config", installation.config)
    try:
        wanted, _ = accepted_config(house.installers.find(step["package"]), {**there, **settings})
    except FleetPromptError:
        return False
    return all(name in there and there[name] == wanted[name] for name in settings)


async def _by_lifecycle(house: House, tenant: TenantSlug, step: Mapping[str, Any], actor: Actor) -> Asked:
    package, name = step["package"], step["name"]
    given: dict[str, Any] = {
        "config": step["settings"],
        "grants": step["scopes"],
        "secrets": {},
        "actor": actor,
    }
    given["name"] = name
    match step["verb"]:
        case "install":
            return await lifecycle.install(house, tenant, f"{package}@{step['version']}", **given)
        case "configure":
            return await lifecycle.configure(house, tenant, package, **given, revoked=step["revoked"])
        case "upgrade":  # whoever confirmed was shown what is wider
            return await lifecycle.upgrade(
                house, tenant, f"{package}@{step['version']}", **given, consent=True
            )
        case "rollback":
            return await lifecycle.rollback(house, tenant, package, actor=actor, name=name)
        case "enable":
            return await lifecycle.enable(house, tenant, package, actor=actor, name=name)
        case "disable":
            return await lifecycle.disable(house, tenant, package, actor=actor, name=name)
        case "uninstall":
            return await lifecycle.uninstall(house, tenant, package, actor=actor, name=name)
        case other:
            raise AssertionError(other)
