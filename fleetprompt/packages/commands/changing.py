"""Commands that change an installation: each is a plan; what a person has to consent to waits for their `confirm`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.model import Plan
from fleetprompt.packages.commands import plans
from fleetprompt.packages.commands.context import Context, in_chat
from fleetprompt.packages.commands.draft_change import draft_configure, draft_switch, draft_uninstall, present
from fleetprompt.packages.commands.draft_install import draft_install
from fleetprompt.packages.commands.draft_version import draft_rollback, draft_upgrade
from fleetprompt.packages.commands.drafts import Draft, Drafter, spoken, wish_of
from fleetprompt.packages.commands.links import send_link
from fleetprompt.packages.commands.progress import show
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.missing import secrets_among

DRAFTERS: Final[Mapping[str, Drafter]] = {
    "install": draft_install,
    "configure": draft_configure,
    "upgrade": draft_upgrade,
    "rollback": draft_rollback,
    "uninstall": draft_uninstall,
    "enable": draft_switch,
    "disable": draft_switch,
}


async def plan(context: Context) -> str:
    """Show what would happen, with the code that lets it."""
    wish = wish_of(context.command, context.asked.installation_id)
    draft = await _draft(context, wish)
    async with context.session() as session:
        made = await plans.propose(
            session, context.house.registry, context.asked, context.actor, context.known.user_id, wish, draft
        )
        return made.text


async def switch(context: Context) -> str:
    """Do it at once; its post says how it goes. What somebody should read first is a plan."""
    wish = wish_of(context.command, context.asked.installation_id)
    async with context.session() as session:
        known = await plans.of_request(session, context.asked.key)
        if known is not None:  # its post says how it goes, unless it is a plan that was not shown yet
            return known.text if known.confirmed_at is None else ""
    draft = await _draft(context, wish)
    if draft.lines:
        return await plan(context)
    registry = context.house.registry
    async with context.session() as session:
        made = await plans.begin(
            session, registry, context.asked, context.actor, context.known.user_id, wish, draft
        )
        held = await plans.locked(session, made.id)
        assert held is not None
        await show(session, registry, held)
    return ""


async def configure(context: Context) -> str:
    """Plan other settings; without any, show those that are."""
    command = context.command
    if command.settings or command.scopes or command.revoked:
        return await plan(context)
    installation = await present(
        context.house, context.asked.tenant, wish_of(context.command, context.asked.installation_id)
    )
    lines = [
        f"- `{key}={json.dumps(value, ensure_ascii=False)}`"
        for key, value in sorted(installation.config.items())
    ]
    package = installation.package
    return "\n".join(
        [f"Settings of `{package}`:", *lines, f"Change some: `configure {package} KEY=VALUE ...`"]
    )


async def secret(context: Context) -> str:
    """Send the link for one secret to the person alone."""
    installation = await present(
        context.house, context.asked.tenant, wish_of(context.command, context.asked.installation_id)
    )
    installer = context.house.installers.find(installation.package)
    takes = (*installer.secrets, *installer.optional_secrets)
    wished = context.command.word
    if wished and wished not in takes:
        raise InvalidInput(f"{installation.package} has no secret {wished!r}.", nearest(wished, takes))
    asked_for = [wished] if wished else secrets_among(installation.missing) or list(installer.secrets[:1])
    if not asked_for:
        return f"`{installation.package}` takes no secret."
    async with context.session() as session:
        for name in asked_for:
            key = f"{context.asked.key}:link:{name}"
            door, user_id = context.asked.door(), context.known.user_id
            await send_link(session, context.house, door, context.actor, user_id, installation, name, key)
    listed = ", ".join(f"`{name}`" for name in asked_for)
    return f"I have sent you a link for {listed}, in a direct message."


async def confirm(context: Context) -> str:
    """Carry a plan out, if it is theirs, open, in time, and still what would happen."""
    async with context.session() as session:
        found = await plans.find_plan(session, context.command.word)
        codes = await plans.open_codes(session, context.known.user_id)
    if found is not None and found.confirm_key == context.asked.key:
        return ""  # this very message confirmed it; its post says how it goes
    refusal = _refusal(context, found, codes)
    if refusal is not None or found is None:
        return refusal or ""
    try:
        draft = await _draft(context, found.wish)
    except FleetPromptError as error:
        return await _void(context, found, f"Plan {found.code} is void: {in_chat(error)}")
    if draft.digest != found.digest:
        return await _propose_anew(context, found, draft)
    return await _confirm(context, found)


def _refusal(context: Context, found: Plan | None, codes: object) -> str | None:
    if found is None:
        known = [str(code) for code in codes] if isinstance(codes, list) else []
        near = f" {nearest(plans.normal(context.command.word), known)}" if known else ""
        return f"There is no plan `{plans.normal(context.command.word)}`.{near}"
    again = f"Ask for your own: `{spoken(found.wish)}`"
    if found.user_id != context.known.user_id:
        return f"Plan {found.code} is somebody else's, and only they can confirm it. {again}"
    if found.confirmed_at is not None:
        state = "under way" if found.finished_at is None else "done" if found.error is None else "over"
        return f"Plan {found.code} was confirmed already, and is {state}. See `audit`."
    if found.voided_at is not None:
        return f"Plan {found.code} is void. Ask again: `{spoken(found.wish)}`"
    if found.expires_at <= clock.now():
        return f"Plan {found.code} is older than ten minutes. Ask again: `{spoken(found.wish)}`"
    return None


async def _confirm(context: Context, found: Plan) -> str:
    registry = context.house.registry
    async with context.session() as session:
        held = await plans.locked(session, found.id)
        refusal = _refusal(context, held, [])
        if refusal is not None or held is None:
            return refusal or ""
        await plans.confirm(session, registry, held, context.asked, context.actor)
        await show(session, registry, held)
    return ""


async def _propose_anew(context: Context, found: Plan, draft: Draft) -> str:
    said = await _void(context, found, f"Something has changed since plan {found.code}, so it is void.")
    asked = replace(context.asked, key=f"{context.asked.key}:again")
    async with context.session() as session:
        made = await plans.propose(
            session, context.house.registry, asked, context.actor, context.known.user_id, found.wish, draft
        )
    return f"{said} This is what would happen now:\n\n{made.text}"


async def _void(context: Context, found: Plan, said: str) -> str:
    async with context.session() as session:
        held = await plans.locked(session, found.id)
        if held is not None and held.confirmed_at is None and held.voided_at is None:
            await plans.void(session, context.house.registry, held, context.actor)
    return said


async def _draft(context: Context, wish: Mapping[str, object]) -> Draft:
    return await DRAFTERS[str(wish["verb"])](context.house, context.asked.tenant, wish)
