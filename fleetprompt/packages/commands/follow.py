"""How far a plan's step is, told by its directive and its installation; called at each change of either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from fleetprompt.model import Directive, Installation, Plan
from fleetprompt.model.states import DirectiveState, InstallationState
from fleetprompt.packages.commands import plans
from fleetprompt.packages.commands.context import in_chat
from fleetprompt.packages.commands.links import send_link
from fleetprompt.packages.commands.progress import WAITING, show
from fleetprompt.packages.house import House
from fleetprompt.packages.missing import SECRET, SETTING
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

ENDED_BADLY: Final = (DirectiveState.FAILED, DirectiveState.CANCELED, DirectiveState.OUTCOME_UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Stand:
    """state: running, waiting, done or failed. detail: what the person should read about it."""

    state: str
    detail: str = ""


async def follow(house: House, session: TenantSession, plan: Plan) -> None:
    """Note how far it is, say it, go on with the next step. The plan is locked by the caller, and not finished."""
    by = Actor("human", f"user:{plan.user_id}")
    stand = await _stand(house, session, plan, by)
    steps = plan.steps["list"]
    if stand.state == "failed":
        plan.error, plan.finished_at = stand.detail, func.now()
        await session.flush()
        await plans.tell(session, house.registry, plan, "package.plan.failed", by)
    elif stand.state == "done" and plan.step + 1 < len(steps):
        plan.step, plan.directive_id, plan.installation_id = plan.step + 1, None, None
        await session.flush()
        await plans.carry_on(session, plan)
    elif stand.state == "done":
        plan.finished_at = func.now()
        await session.flush()
        await plans.tell(session, house.registry, plan, "package.plan.completed", by)
    await session.refresh(plan, ["finished_at"])
    await show(session, house.registry, plan, stand.detail if stand.state in ("waiting", "done") else "")


async def _stand(house: House, session: TenantSession, plan: Plan, by: Actor) -> _Stand:
    if plan.error is not None:
        return _Stand("failed", plan.error)
    installation = await session.get(Installation, plan.installation_id, populate_existing=True)
    if installation is None:
        return _Stand("failed", "The installation is gone.")
    directive = await _directive(session, plan)
    if directive is not None and directive.state == DirectiveState.SUCCEEDED:
        return _Stand("done", _done(plan, directive))
    if installation.state == InstallationState.NEEDS_CONFIG and (
        directive is None or directive.state in ENDED_BADLY
    ):
        return _Stand("waiting", await _wait(house, session, plan, installation, by))
    if directive is not None and directive.state == DirectiveState.AWAITING_APPROVAL:
        return _Stand("waiting", f"{WAITING} It waits for a person: `approve {directive.id}`")
    if directive is not None and directive.state in ENDED_BADLY:
        return _Stand("failed", in_chat(directive.error or str(directive.state)))
    return _Stand("running")


async def _directive(session: TenantSession, plan: Plan) -> Directive | None:
    """That of the step; of an installation that waited, the newest: handing a secret over asks for another."""
    step = plan.steps["list"][plan.step]
    own = await _get(session, plan.directive_id)
    if step["verb"] not in ("install", "configure") or (own is not None and own.state not in ENDED_BADLY):
        return own
    newest = (
        select(Directive)
        .where(Directive.installation_id == plan.installation_id, Directive.name == "package.install")
        .order_by(Directive.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    found = await session.scalar(newest)
    if found is None or (own is not None and found.id < own.id):
        return own
    plan.directive_id = found.id
    return found


async def _get(session: TenantSession, directive_id: UUID | None) -> Directive | None:
    return (
        None if directive_id is None else await session.get(Directive, directive_id, populate_existing=True)
    )


async def _wait(
    house: House, session: TenantSession, plan: Plan, installation: Installation, by: Actor
) -> str:
    """What it waits for; for secrets a link goes to the person, once the settings are there that it is bound to."""
    package = installation.package
    missing = [one.partition(":") for one in installation.missing]
    settings = [name for kind, _, name in missing if kind == SETTING]
    secrets = [name for kind, _, name in missing if kind == SECRET]
    if settings:
        more = " ".join(f"{name}=..." for name in settings)
        return f"{WAITING} It waits for settings: `configure {package} {more}`"
    if not secrets and installation.error_code == "auth":
        secrets = list(house.installers.find(package).secrets)
    for name in secrets:
        key = f"link:{installation.id}:{name}:{installation.generation}:{plan.user_id}"
        await send_link(session, house, plan.door, by, plan.user_id, installation, name, key)
    why = f"{in_chat(installation.error)} " if installation.error and not installation.missing else ""
    if not secrets:
        return f"{WAITING} {why}Change its settings: `configure {package} KEY=VALUE`"
    listed = ", ".join(f"`{name}`" for name in secrets)
    return f"{WAITING} {why}It waits for {listed}: I have sent you a link, in a direct message."


def _done(plan: Plan, directive: Directive) -> str:
    """What the person may do now."""
    receipts: list[dict[str, Any]] = (directive.result or {}).get("receipts") or [{}]
    agent = receipts[0].get("agent")
    if plan.steps["list"][plan.step]["verb"] != "install" or plan.step + 1 < len(plan.steps["list"]):
        return ""
    told = f"`{agent}` answers. " if agent else ""
    return f"{told}Try it: `test {plan.wish['package']}`"
