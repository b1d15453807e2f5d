"""One post for each confirmed plan, edited at each change of state.

The post and its edits are directives in one lane: they arrive in order, once each, whatever dies in between.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from fleetprompt.model import Conversation, Plan
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.executions.end import say
from fleetprompt.runtime.registry import Registry, Speech
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

DONE, DOING, WAITING, FAILED, TO_DO = "✅", "⏳", "✋", "❌", "▫️"
PAST: Final = {
    "install": "installed",
    "configure": "configured",
    "upgrade": "upgraded",
    "rollback": "rolled back",
    "uninstall": "uninstalled",
    "enable": "enabled",
    "disable": "disabled",
}


async def show(session: TenantSession, registry: Registry, plan: Plan, detail: str = "") -> None:
    """Have the plan's post say what is now. The plan is locked by the caller; the same once more changes nothing."""
    text = progress_text(plan, detail)
    if text == plan.shown:
        return
    links: dict[str, Any] = {"lane": f"plan:{plan.id}", "position": plan.revision}
    correlation = plan.door.get("correlation_id")
    links["correlation_id"] = UUID(correlation) if correlation else plan.id
    if plan.post_directive_id is None:
        plan.post_directive_id = await tell_person(
            session,
            registry,
            plan.door,
            text,
            f"plan:{plan.id}:progress",
            "A person sees how a plan goes.",
            **links,
        )
    else:
        await _edit(session, registry, plan, text, links)
    plan.shown, plan.revision = text, plan.revision + 1
    await session.flush()


async def tell_person(
    session: TenantSession,
    registry: Registry,
    door: dict[str, Any],
    text: str,
    key: str,
    summary: str,
    **links: Any,
) -> UUID | None:
    """Say it where it was asked, or, where there is no such place, to the person alone."""
    conversation_id = door.get("conversation_id")
    if conversation_id:
        conversation = await get(session, Conversation, UUID(conversation_id))
        if conversation is not None:
            said: dict[str, Any] = {"key": key, "actor": SYSTEM, "summary": summary, "speech": Speech.NOTICE}
            return await say(session, registry, conversation, text, **said, **links)
    return await tell_alone(session, registry, door, text, key, summary, **links)


async def tell_alone(
    session: TenantSession,
    registry: Registry,
    door: dict[str, Any],
    text: str,
    key: str,
    summary: str,
    **links: Any,
) -> UUID | None:
    """To the person alone; None where the chat cannot."""
    channel = registry.channels.get(str(door["connector"]))
    if channel is None or not channel.private:
        return None
    arguments = {"account_id": door["subject"], "text": text}
    new = NewDirective(
        channel.private,
        key,
        arguments,
        summary,
        SYSTEM,
        installation_id=UUID(door["installation_id"]),
        **links,
    )
    return (await request(session, registry, new)).id


def progress_text(plan: Plan, detail: str) -> str:
    """Each step with its sign, and below what is to be said of the one that is under way."""
    steps = plan.steps["list"]
    lines = [_line(plan, number, step) for number, step in enumerate(steps)]
    return "\n".join([f"**{plan.code}**", *lines, *([detail] if detail else [])])


def _line(plan: Plan, number: int, step: dict[str, Any]) -> str:
    name = f"/{step['name']}" if step["name"] else ""
    what = f"`{step['package']}{name}` {step['version']}"
    if number < plan.step or (plan.finished_at is not None and plan.error is None):
        return f"{DONE} {what} is {PAST[step['verb']]}."
    if number > plan.step:
        return f"{TO_DO} {step['verb']} {what}"
    if plan.error is not None:
        return f"{FAILED} {step['verb']} {what}: {plan.error}"
    return f"{DOING} {step['verb']} {what} ..."


async def _edit(
    session: TenantSession, registry: Registry, plan: Plan, text: str, links: dict[str, Any]
) -> None:
    channel = registry.channels.get(str(plan.door["connector"]))
    if channel is None or not channel.update:
        return
    new = NewDirective(
        channel.update,
        f"plan:{plan.id}:progress:{plan.revision}",
        {"directive_id": str(plan.post_directive_id), "text": text},
        "A person sees how a plan goes.",
        SYSTEM,
        installation_id=UUID(plan.door["installation_id"]),
        **links,
    )
    await request(session, registry, new)
